"""Limiting the bytes of a batch of rows."""

from typing import Any


class ByteBudget:
    """Limits the bytes of one batch of rows; `column` is the number of the column that may be large."""

    def __init__(self, bytes_max: int, column: int) -> None:
        self._left = bytes_max
        self._column = column

    def is_spent_by(self, row: tuple[Any, ...]) -> bool:
        """Count a row; return whether the budget is used up."""
        self._left -= len(row[self._column])
        return self._left <= 0
