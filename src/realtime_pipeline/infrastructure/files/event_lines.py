"""Reading files of JSON objects, one a line, as submissions to publish or repairs."""

from collections.abc import Iterator

from realtime_pipeline.application.ingestion.publish_events import Submission
from realtime_pipeline.infrastructure.files.beginnings import check_beginning, check_first_line, skip_mark
from realtime_pipeline.infrastructure.files.lines import LINE_BYTES_MAX, lines_of
from realtime_pipeline.infrastructure.files.streams import READ_ERRORS, opened, origin_name, unreadable


def batches(name: str, line_bytes_max: int = LINE_BYTES_MAX) -> Iterator[list[Submission]]:
    """Read a file's lines in batches as they arrive, so that the lines of a pipe are published without delay.

    Lines longer than `line_bytes_max` are split into pieces. Compressed files are decompressed, whatever their names; a
    UTF-8 byte order mark is skipped.

    Raises:
        Unavailable: the file cannot be read, or not to its end.
        InvalidEvents: the file does not have one JSON object a line.
    """
    origin = origin_name(name)
    try:
        with opened(name) as stream:
            skip_mark(stream)
            check_beginning(name, stream.peek(1))
            is_first = True
            for lines in lines_of(stream, line_bytes_max=line_bytes_max):
                submissions = [
                    Submission(value, f"{origin}:{number}") for number, value, _, _ in lines if value.strip()
                ]
                if is_first and submissions:
                    check_first_line(name, submissions[0].value)
                    is_first = False
                yield submissions
    except READ_ERRORS as error:
        raise unreadable(name, error) from error
