"""A stream in Amazon Kinesis as a source."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from realtime_pipeline.application.errors import UnrecoverableState
from realtime_pipeline.application.ports.source import Positions, Source, SourceBatch, SourceRecord, Unreadable
from realtime_pipeline.infrastructure.kinesis.client import (
    ERRORS,
    EXPIRED_ITERATOR,
    INVALID_POSITION,
    THROTTLED,
    error_code,
    new_client,
    translate_error,
)
from realtime_pipeline.infrastructure.kinesis.positions import ShardPosition
from realtime_pipeline.infrastructure.kinesis.settings import KinesisSettings
from realtime_pipeline.infrastructure.kinesis.shards import Shard, readable

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

CALL_RECORDS_MAX: Final = 10_000
"""What Kinesis returns at most at once; it also stops at 10 MB."""
LIST_S: Final = 60.0
"""How often the shards are listed, besides whenever a shard ends."""
STORED_MS_MAX: Final = 3_600_000
"""A shard without records moves its position once an hour: the time in it tells whether records were lost."""
CATCH_UP_S: Final = 5.0
"""How long a call that need not wait for records goes on while Kinesis has more, and returns none."""
THROTTLED_S: Final = 0.2
THROTTLED_MAX_S: Final = 2.0
AGGREGATED: Final = b"\xf3\x89\x9a\xc2"
"""How records begin that the Kinesis Producer Library has packed together."""


AGGREGATED_REASON: Final = (
    "the Kinesis Producer Library has packed several records into one: set AggregationEnabled = false in the producer"
)


class KinesisSource(Source):
    """Reads all shards of a stream, a shard after its parents.

    Parts are shards. Each call returns records of one shard, in turn. An iterator that has expired is made again from
    the last record. While Kinesis refuses calls because of its limits, they are repeated after a pause that doubles.
    """

    def __init__(self, name: str, settings: KinesisSettings) -> None:
        self._name = name
        self._settings = settings
        self._client: KinesisClient | None = None
        self._shards: dict[str, Shard] = {}
        self._retention_ms = 0
        self._created_ms = 0
        self._listed_s = 0.0

    @property
    def name(self) -> str:
        """The name that it was made with."""
        return self._name

    def open(self, positions: Positions) -> None:
        """List the shards, and check that the stream has what is behind the positions."""
        self.close()
        read = {shard: ShardPosition.decode(shard, position) for shard, position in positions.items()}
        self._client = new_client(self._settings)
        try:
            summary = self._client.describe_stream_summary(StreamName=self._settings.stream)["StreamDescriptionSummary"]
        except ERRORS as error:
            raise translate_error(error, self._settings) from None
        self._retention_ms = summary["RetentionPeriodHours"] * 3_600_000
        created_ms = self._created_ms = int(summary["StreamCreationTimestamp"].timestamp() * 1000)
        if any(position.read_to_ms < created_ms for position in read.values()):
            if not self._settings.skip_lost:
                raise UnrecoverableState(
                    f"the Kinesis stream {self._settings.stream} was deleted and created again: what was not read of "
                    "the old one is lost; skip_lost = true reads the new one from its start"
                )
            read = {shard: position for shard, position in read.items() if position.read_to_ms >= created_ms}
        self._shards = {}
        self._list(read)
        for shard in self._shards.values():
            self._check(shard)

    def read(self, records_max: int, timeout_s: float) -> SourceBatch | None:
        """Read records of the shard that was asked longest ago; ask every shard before None is returned at once."""
        now_s = time.monotonic()
        until_s = now_s + (timeout_s or CATCH_UP_S)
        at_end: set[str] = set()
        while now_s < until_s:
            if now_s - self._listed_s >= LIST_S:
                self._list({})
            shards = readable(self._shards)
            if not timeout_s and at_end.issuperset(shard.shard_id for shard in shards):
                return None
            if not shards or shards[0].call_at_s > now_s:
                time.sleep(max(min([until_s, *(shard.call_at_s for shard in shards[:1])]) - now_s, 0.0))
            else:
                shard = shards[0]
                batch = self._ask(shard, min(records_max, CALL_RECORDS_MAX))
                if batch is not None:
                    return batch
                if shard.iterator is not None and not shard.behind_ms and not shard.wait_s:
                    at_end.add(shard.shard_id)
            now_s = time.monotonic()
        return None if timeout_s else SourceBatch((), {})  # there is more

    def acknowledge(self, positions: Positions) -> None:
        """Do nothing: Kinesis deletes records by their age."""

    def lag(self) -> str:
        """The seconds that reading is behind, of the shard that is behind most."""
        behind_ms = max((shard.behind_ms for shard in self._shards.values()), default=0)
        return f"{behind_ms / 1000:,.1f} s"

    def close(self) -> None:
        """Close all connections."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _opened(self) -> "KinesisClient":
        if self._client is None:
            raise UnrecoverableState(f"{self._name} is not open")
        return self._client

    def _list(self, positions: Mapping[str, ShardPosition]) -> None:
        """List the shards; those that are known stay as they are, others begin at their positions."""
        listed: dict[str, Shard] = {}
        more: dict[str, Any] = {"StreamName": self._settings.stream}
        while more:
            try:
                reply = self._opened().list_shards(**more)
            except ERRORS as error:
                raise translate_error(error, self._settings) from None
            for found in reply["Shards"]:
                shard_id, parents = found["ShardId"], (found.get("ParentShardId"), found.get("AdjacentParentShardId"))
                position = positions.get(shard_id, ShardPosition())
                new = Shard(shard_id, tuple(parent for parent in parents if parent), position, position.read_to_ms)
                listed[shard_id] = self._shards.get(shard_id, new)
            more = {"NextToken": reply["NextToken"]} if reply.get("NextToken") else {}
        known = dict(positions) | {shard_id: shard.position for shard_id, shard in self._shards.items()}
        gone = [shard_id for shard_id in known if shard_id not in listed and not known[shard_id].is_ended]
        if gone and not self._settings.skip_lost:
            raise UnrecoverableState(
                f"the Kinesis stream {self._settings.stream} has no {gone[0]} any more, which was not read to its end: "
                "its last records are lost; skip_lost = true goes on with what is there"
            )
        self._shards = listed
        self._listed_s = time.monotonic()

    def _check(self, shard: Shard) -> None:
        if not self._settings.skip_lost:
            shard.position.check(self._settings.stream, shard.shard_id, self._retention_ms, _now_ms())

    def _ask(self, shard: Shard, limit: int) -> SourceBatch | None:
        """Make a call for a shard; None if it returned nothing that moves a position."""
        self._check(shard)
        began_ms = _now_ms()
        shard.call_at_s = time.monotonic() + 1 / self._settings.calls_per_second
        try:
            shard.iterator = shard.iterator or self._iterator(shard)
            reply = self._opened().get_records(ShardIterator=shard.iterator, Limit=limit)
        except ERRORS as error:
            code = error_code(error)
            if code == EXPIRED_ITERATOR:
                shard.iterator = None
            elif code in THROTTLED:
                shard.wait_s = min(max(2 * shard.wait_s, THROTTLED_S), THROTTLED_MAX_S)
                shard.call_at_s = time.monotonic() + shard.wait_s
            else:
                raise translate_error(error, self._settings) from None
            return None
        shard.wait_s = 0.0
        shard.iterator = reply.get("NextShardIterator")
        is_ended = not shard.iterator
        shard.behind_ms = reply.get("MillisBehindLatest") or 0
        if reply["Records"]:
            last = reply["Records"][-1]
            arrived_ms = int(last["ApproximateArrivalTimestamp"].timestamp() * 1000)
            shard.position = ShardPosition(last["SequenceNumber"], arrived_ms)
        else:
            read_to_ms = max(shard.position.read_to_ms, began_ms - shard.behind_ms, self._created_ms)
            shard.position = attrs.evolve(shard.position, read_to_ms=read_to_ms)
        if is_ended:
            shard.position = attrs.evolve(shard.position, is_ended=True)
            shard.behind_ms = 0
            self._listed_s = -LIST_S  # its children can be read now
        elif not reply["Records"] and shard.position.read_to_ms - shard.stored_ms < STORED_MS_MAX:
            return None
        shard.stored_ms = shard.position.read_to_ms
        records = tuple(self._record(shard, found["SequenceNumber"], found["Data"]) for found in reply["Records"])
        return SourceBatch(records, {shard.shard_id: shard.position.encode()})

    def _iterator(self, shard: Shard) -> str:
        where: Mapping[str, Any] = {"StreamName": self._settings.stream, "ShardId": shard.shard_id}
        number = shard.position.sequence_number
        if number:
            try:
                return self._opened().get_shard_iterator(
                    ShardIteratorType="AFTER_SEQUENCE_NUMBER", StartingSequenceNumber=number, **where
                )["ShardIterator"]
            except ERRORS as error:
                if not self._settings.skip_lost or error_code(error) != INVALID_POSITION:
                    raise
        return self._opened().get_shard_iterator(ShardIteratorType="TRIM_HORIZON", **where)["ShardIterator"]

    def _record(self, shard: Shard, number: str, data: bytes) -> SourceRecord:
        is_aggregated = data.startswith(AGGREGATED)
        value = Unreadable(AGGREGATED_REASON, data) if is_aggregated else data
        return SourceRecord(f"{shard.shard_id}:{number}", value, f"{self._settings.stream}:{shard.shard_id}:{number}")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
