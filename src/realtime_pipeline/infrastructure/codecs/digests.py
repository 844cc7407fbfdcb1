"""What is kept of an id that must not be kept."""

from hashlib import blake2b

from realtime_pipeline.domain.shop.events import CustomerId


def tombstone_key(customer_id: CustomerId) -> bytes:
    """A 128-bit digest of a customer id: it tells a forgotten customer again, and names nobody by itself.

    Whoever can guess an id can check the guess against it.
    """
    return blake2b(customer_id.encode(), digest_size=16).digest()
