"""What is kept of an id that must not be kept."""

from hashlib import blake2b

from realtime_pipeline.domain.shop.events import CustomerId


def tombstone_key(customer_id: CustomerId) -> bytes:
    """A 128-bit digest of a customer id: enough to know a forgotten customer again, not enough to say who it was."""
    return blake2b(customer_id.encode(), digest_size=16).digest()
