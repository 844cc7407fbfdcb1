"""The ids of the messages that workers write for other customers."""

from hashlib import blake2b
from typing import Final

from realtime_pipeline.domain.shop.events import CustomerId

ID_LENGTH_MAX: Final = 128


def message_id(visitor: CustomerId, because_of: str) -> str:
    """The id of what is handed on of a visitor because of an event: both, with a slash between.

    An id with a second slash, or of more than 128 characters, is replaced by its digest; two pairs that are written
    alike are told apart by the length of the visitor's id.
    """
    name = f"{visitor}/{because_of}"
    if "/" in visitor:
        name = f"{len(visitor)} {name}"
    elif len(name) <= ID_LENGTH_MAX:
        return name
    return blake2b(name.encode(), digest_size=16).hexdigest()
