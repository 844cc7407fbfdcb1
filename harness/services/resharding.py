"""Moves slots of a Redis cluster between masters, key by key, while clients use them."""

from collections.abc import Callable, Sequence

from harness.services.redis import RedisServer
from harness.support.errors import HarnessError

KEYS_AT_ONCE = 100
MIGRATE_MS = 5_000


def slot_of(node: RedisServer, key: str) -> int:
    """The slot of a key."""
    return int(node.command("CLUSTER", "KEYSLOT", key)[1:])


def owner_of(masters: Sequence[RedisServer], slot: int) -> RedisServer:
    """The master that owns a slot, as the masters themselves report."""
    for master in masters:
        lines = master.command("CLUSTER", "NODES").decode().splitlines()
        (own,) = [line.split() for line in lines if "myself" in line.split()[2]]
        for slots in own[8:]:
            first, _, last = slots.partition("-")
            if first.isdecimal() and int(first) <= slot <= int(last or first):
                return master
    raise HarnessError(f"no master owns slot {slot}")


def move_slot(
    masters: Sequence[RedisServer], slot: int, target: RedisServer, after_each_key: Callable[[], object] = lambda: None
) -> int:
    """Move a slot to another master as `redis-cli --cluster reshard` does; return how many keys were moved.

    `after_each_key` is called while the keys of the slot are spread over both nodes.
    """
    source = owner_of(masters, slot)
    if source is target:
        return 0
    source_id, target_id = (node.command("CLUSTER", "MYID").decode() for node in (source, target))
    _expect_ok(target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id))
    _expect_ok(source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id))
    moved = 0
    while keys := source.listed("CLUSTER", "GETKEYSINSLOT", slot, KEYS_AT_ONCE):
        for key in keys:
            escaped = "".join(f"\\x{byte:02x}" for byte in key)
            reply = source.command("MIGRATE", "127.0.0.1", target.port, escaped, 0, MIGRATE_MS)
            if reply not in {b"+OK", b"+NOKEY"}:
                raise HarnessError(f"a key cannot be moved: {reply.decode()}")
            moved += 1
            after_each_key()
    for node in (target, source, *masters):
        _expect_ok(node.command("CLUSTER", "SETSLOT", slot, "NODE", target_id))
    return moved


def _expect_ok(reply: bytes) -> None:
    if reply != b"+OK":
        raise HarnessError(f"a slot cannot be moved: {reply.decode()}")
