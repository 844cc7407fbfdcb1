"""Secrets: given, or read from a file that only the program can read."""

from pathlib import Path

from realtime_pipeline.application.errors import Unavailable


def secret(given: str, file: str, setting: str) -> str:
    """Return what was given; where a file is named, what is in it.

    Raises:
        Unavailable: the file cannot be read; the message names the setting.
    """
    if not file:
        return given
    try:
        return Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"{setting} {file} cannot be read: {error}") from None
