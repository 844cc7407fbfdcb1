"""A filled stream of Kinesis for `bench bridge`."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import attrs

from harness.services.kinesis import REGION, kinesis_client, kinesis_server
from realtime_pipeline.application.ports.source import Source
from realtime_pipeline.infrastructure.kinesis.settings import KinesisSettings
from realtime_pipeline.infrastructure.kinesis.source import KinesisSource

NAME: Final = "others"
READ_RECORDS: Final = 2_000
CALLS_PER_SECOND: Final = 1_000
"""moto has no limits, and the CPU time is what is measured."""


@attrs.frozen
class KinesisQueue:
    """Makes the source of a stream, and reads it plainly by its client."""

    endpoint: str

    def source(self) -> Source:
        """The source of the stream."""
        settings = KinesisSettings(
            NAME,
            REGION,
            self.endpoint,
            access_key_id="any",
            secret_access_key="any",  # noqa: S106  # the server takes any
            calls_per_second=CALLS_PER_SECOND,
        )
        return KinesisSource(NAME, settings)

    def read_plainly(self, expected: int) -> int:
        """Read the only shard from its start."""
        with closing(kinesis_client(self.endpoint)) as client:
            shard_id, count = client.list_shards(StreamName=NAME)["Shards"][0]["ShardId"], 0
            iterator = client.get_shard_iterator(StreamName=NAME, ShardId=shard_id, ShardIteratorType="TRIM_HORIZON")[
                "ShardIterator"
            ]
            while records := (reply := client.get_records(ShardIterator=iterator, Limit=READ_RECORDS))["Records"]:
                count, iterator = count + len(records), reply["NextShardIterator"]
        return count


@contextmanager
def kinesis_queue(folder: Path, events: Sequence[bytes]) -> Iterator[KinesisQueue]:
    """A stream with one shard that has these records."""
    with kinesis_server(folder / "kinesis") as server:
        with closing(server.client()) as client:
            client.create_stream(StreamName=NAME, ShardCount=1)
        server.fill(NAME, events)
        yield KinesisQueue(server.endpoint)
