"""OpenStrEnum: an enumeration that newer releases may extend."""

from enum import StrEnum
from typing import Self


class OpenStrEnum(StrEnum):
    """An enumeration of stored names. A name that a newer release wrote, and this one does not know, becomes a member:
    it
    is stored and counted as any other, and equals its text."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        unknown = str.__new__(cls, value)
        unknown._name_ = unknown._value_ = value
        return unknown

    @classmethod
    def known(cls, name: str) -> Self:
        """Return the member of a name that a caller passes in.

        Raises:
            ValueError: this release does not know the name.
        """
        found = cls(name)
        if not found.is_known:
            raise ValueError(f"{name!r} is no {cls.__name__}: it is one of {', '.join(cls)}")
        return found

    @property
    def is_known(self) -> bool:
        """Whether this release knows the name."""
        return self in type(self).__members__.values()
