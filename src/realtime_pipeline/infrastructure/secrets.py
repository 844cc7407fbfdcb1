"""Secrets from settings, or from a file."""

from pathlib import Path

from realtime_pipeline.application.errors import Unavailable


def secret(given: str, file: str, setting: str) -> str:
    """Return the content of the file where a file is named, else the given value.

    Raises:
        Unavailable: the file cannot be read; the message names the setting.
    """
    if not file:
        return given
    try:
        return Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"{setting} {file} cannot be read: {error}") from None
