"""Names of which newer releases may know more."""

from enum import StrEnum
from typing import Self


class OpenStrEnum(StrEnum):
    """An enumeration of names that are stored. A name that this release does not know, since a newer one wrote it, is a
    member of its own: it is kept and counted, and equals its text."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        unknown = str.__new__(cls, value)
        unknown._name_ = unknown._value_ = value
        return unknown

    @classmethod
    def known(cls, name: str) -> Self:
        """Find a member by a name that somebody gives.

        Raises:
            ValueError: this release does not know it.
        """
        found = cls(name)
        if not found.is_known:
            raise ValueError(f"{name!r} is no {cls.__name__}: it is one of {', '.join(cls)}")
        return found

    @property
    def is_known(self) -> bool:
        """Whether this release gives the name a meaning."""
        return self in type(self).__members__.values()
