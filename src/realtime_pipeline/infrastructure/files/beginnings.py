"""How a file begins: what is skipped, and what shows that it is of another format than it is read as."""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE
from json import JSONDecoder

from realtime_pipeline.application.errors import InvalidEvents
from realtime_pipeline.infrastructure.files.streams import Stream, display_name

_ARRAY = re.compile(rb"\s*\[\s*(\{|\Z)")
_PARQUET = b"PAR1"


def skip_mark(stream: Stream) -> int:
    """Skip a UTF-8 byte order mark at the beginning; return its length."""
    if stream.peek(len(BOM_UTF8)).startswith(BOM_UTF8):
        return len(stream.read(len(BOM_UTF8)))
    return 0


def check_beginning(name: str, begin: bytes, format_: str = "jsonl") -> None:
    """Check by its first bytes that a file is neither UTF-16 nor of another format.

    Raises:
        InvalidEvents: it is.
    """
    if begin.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or begin[:2] in (b"{\0", b"\0{"):
        raise InvalidEvents(
            f"{display_name(name)} is UTF-16: make it UTF-8 (iconv -f UTF-16 -t UTF-8 FILE | … publish -)"
        )
    if begin.startswith(_PARQUET):
        raise InvalidEvents(f"{display_name(name)} is Parquet: publish it with --format parquet")
    if format_ == "jsonl" and _ARRAY.match(begin):
        raise InvalidEvents(
            f"{display_name(name)} is a JSON array: write one event a line (jq -c '.[]' FILE | … publish -)"
        )


def check_first_line(name: str, line: bytes) -> None:
    """Check that a file's first line is neither several JSON objects nor the beginning of a multi-line object.

    Raises:
        InvalidEvents: it is.
    """
    text = line.decode(errors="replace").strip()
    is_wrong = text == "{"
    try:
        document, end = JSONDecoder().raw_decode(text)
        is_wrong = isinstance(document, dict) and text[end:].lstrip().startswith("{")
    except (ValueError, RecursionError):
        pass  # not JSON: the event decoder will report what is wrong
    if is_wrong:
        raise InvalidEvents(
            f"{display_name(name)} has not one JSON object a line: rewrite it (jq -c . FILE | … publish -)"
        )
