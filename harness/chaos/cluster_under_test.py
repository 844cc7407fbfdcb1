"""The log, store and workers of one round, and the questions that a round asks about them."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random

import attrs
import msgspec

from harness.chaos.events import with_rare_kinds
from harness.chaos.log_follower import LogFollower
from harness.chaos.servers import Servers
from harness.chaos.settings_file import PARTITIONS, add_stream, use_cluster, write_settings
from harness.chaos.workers import WorkerProcess
from harness.checking.compare import compare
from harness.services.redis import RedisServer, redis_cluster
from harness.simulation.shop import Shop
from harness.support.errors import HarnessError
from realtime_pipeline import Pipeline, Settings, load_settings
from realtime_pipeline.application.errors import RecoverableError, Unavailable
from realtime_pipeline.application.ingestion.publish_events import Submission
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.kafka.settings import TopicSettings
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.views import RedisViews

TIMEOUT_S = 90.0
HIDDEN_S = 30.0
"""How long the letters behind an open transaction may be hidden."""
COMPARED_MAX = 3
"""How often log and store are compared."""
START_MS = 1_700_000_000_000
SESSIONS = 200_000
STREAM = "others"
"""The source of a round with a stream of others."""
SMALL_SIZE, FULL_SIZE = (60, 50), (2_000, 20_000)
"""How many products and customers the shop has."""


class ClusterUnderTest:
    """The topics, Redis namespace, workers and event stream of one round.

    `cleanup` has what must be undone after the round's stores were compared.
    """

    def __init__(
        self, folder: Path, servers: Servers, name: str, rng: Random, outbox_retention_ms: int, full_size: bool = False
    ) -> None:
        folder.mkdir(parents=True)
        self.servers = servers
        self.rng = rng
        self.cleanup = ExitStack()
        self.published = 0
        self._folder = folder
        self._workers: list[WorkerProcess] = []
        self._follower: LogFollower | None = None
        self._stream_key = f"{name}-{STREAM}"
        self._settings_file = folder / "settings.toml"
        write_settings(self._settings_file, servers, name, outbox_retention_ms, full_size)
        self.settings: Settings = load_settings(self._settings_file, {})
        self.pipeline = Pipeline(self.settings)
        self.create_topics()
        size = FULL_SIZE if full_size else SMALL_SIZE
        shop = Shop(rng.randrange(1 << 30), *size, START_MS, dirt=0.06)
        products = [product.product_id for product in shop.products]
        events = with_rare_kinds(shop.events(SESSIONS), size[1], products, rng)
        self._events = (msgspec.json.encode(event) for event in events)

    def move_to_cluster(self, view_cells: int) -> list[RedisServer]:
        """Start a Redis cluster for the round's store; return its three masters, then the replica of each."""
        nodes = self.cleanup.enter_context(redis_cluster(self._folder / "cluster", replicas=True))
        self.pipeline.close()
        use_cluster(self._settings_file, self.servers, ",".join(node.endpoint for node in nodes), view_cells)
        self.settings = load_settings(self._settings_file, {})
        self.pipeline = Pipeline(self.settings)
        return nodes

    def close(self) -> None:
        """End all workers, delete the topics and undo what `cleanup` has; where steps fail, do the others first."""
        with ExitStack() as steps:
            steps.callback(self.cleanup.close)
            steps.callback(self.pipeline.close)
            steps.callback(self._close_follower)
            steps.callback(self._delete_topics)
            for worker in self._workers:
                steps.callback(worker.kill_if_running)

    def _close_follower(self) -> None:
        if self._follower is not None:
            self._follower.close()
            self._follower = None

    def create_topics(self) -> None:
        """Create the round's topics that do not exist."""
        self.pipeline.container.topics().create(TopicSettings(partitions=PARTITIONS))

    def recreate_topic(self) -> None:
        """Create the topic of events after it was deleted, and a publisher that knows the new topic."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while self.settings.kafka.topic not in self.pipeline.container.topics().create(
            TopicSettings(partitions=PARTITIONS)
        ):
            if time.monotonic() > deadline_s:
                raise HarnessError("the topic cannot be created again")
            time.sleep(0.1)
        self.pipeline.container.publisher.reset()
        self.pipeline.container.publish_events.reset()

    def delete_offsets(self) -> None:
        """Delete the offsets that the workers' group has committed, once the broker has removed its last member."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while True:
            try:
                self.pipeline.container.topics().delete_offsets()
            except Unavailable:  # the group still has members
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.2)
            else:
                return

    def _delete_topics(self) -> None:
        topics, kafka = self.pipeline.container.topics(), self.settings.kafka
        topics.delete([kafka.topic, kafka.dead_letters_topic, kafka.late_events_topic])

    def start_worker(self, *fault: str) -> WorkerProcess:
        """Start a worker; with the options of a fault, it kills or stops itself."""
        worker = WorkerProcess(self._folder, len(self._workers), self._settings_file, fault)
        self._workers.append(worker)
        return worker

    def add_stream(self) -> None:
        """Let captures read a stream of others, which is empty at first."""
        add_stream(self._settings_file, self.servers, STREAM, self._stream_key)

    def start_capture(self, *fault: str) -> WorkerProcess:
        """Start a capture of the stream; with the options of a fault, it kills or stops itself."""
        capture = WorkerProcess(self._folder, len(self._workers), self._settings_file, fault, STREAM)
        self._workers.append(capture)
        return capture

    def fill_stream(self, count: int) -> None:
        """Add the shop's next events to the stream; they are published when a capture has read them."""
        key = self._stream_key
        values = [next(self._events) for _ in range(count)]
        self.pipeline.container.redis_client().execute([(key, ("XADD", key, "*", "json", value)) for value in values])
        self.published += count

    def fill_stream_until(self, is_reached: Callable[[], bool], what: str) -> None:
        """Add a few events at a time until a condition holds; `what` names it in the error."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while not is_reached():
            if time.monotonic() > deadline_s:
                raise HarnessError(f"{what} was not reached in {TIMEOUT_S:.0f} s")
            self.fill_stream(20)
            time.sleep(0.05)

    def wait_until_captured(self) -> None:
        """Wait until the log has the whole stream: what it has is trimmed, but for the last entry.

        Raises:
            HarnessError: it takes too long.
        """
        key, deadline_s = self._stream_key, time.monotonic() + TIMEOUT_S
        while (left := self.pipeline.container.redis_client().execute([(key, ("XLEN", key))])[0]) != 1:
            if time.monotonic() > deadline_s:
                raise HarnessError(f"after {TIMEOUT_S:.0f} s {left} entries of the stream are not captured")
            time.sleep(0.05)

    def worker_outputs(self) -> list[str]:
        """The last lines that each worker of the round printed."""
        return [worker.description() for worker in self._workers]

    def publish(self, count: int) -> None:
        """Publish the shop's next events; some are garbage, some duplicates."""
        batch = [Submission(next(self._events)) for _ in range(count)]
        self.published += self.pipeline.container.publish_events().batch(batch)

    def publish_all(self, events: Sequence[Mapping[str, object]]) -> None:
        """Publish events that are not the shop's."""
        batch = [Submission(msgspec.json.encode(event)) for event in events]
        self.published += self.pipeline.container.publish_events().batch(batch)

    def publish_until(self, is_reached: Callable[[], bool], what: str) -> None:
        """Publish a few events at a time until a condition holds; `what` names it in the error."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while not is_reached():
            if time.monotonic() > deadline_s:
                raise HarnessError(f"{what} was not reached in {TIMEOUT_S:.0f} s")
            self.publish(40)
            time.sleep(0.05)

    def reader_positions(self) -> Mapping[int, int]:
        """The smallest position of views and outputs, by partition; zeros while a server does not answer."""
        container, partitions = self.pipeline.container, list(range(PARTITIONS))
        try:
            views, outputs = container.views().positions(partitions), container.outputs().positions(partitions)
        except RecoverableError:
            return dict.fromkeys(partitions, 0)
        return {partition: min(*views[partition], outputs[partition]) for partition in partitions}

    def replica_positions(self) -> Mapping[int, int]:
        """The smallest position of the views on the replica, by partition; zeros while it does not answer."""
        settings, stores = attrs.evolve(self.settings.redis, nodes=self.servers.replica.endpoint), self.settings.stores
        client = RedisClient(settings)
        try:
            views = RedisViews(client, settings, stores.listed_sessions_max, stores.activity_retention_hours)
            found = views.positions(range(PARTITIONS))
        except RecoverableError:
            return dict.fromkeys(range(PARTITIONS), 0)
        finally:
            client.close()
        return {partition: min(positions) for partition, positions in found.items()}

    def epochs(self) -> Mapping[int, int]:
        """The epoch of each partition's cell: it grows with each claim."""
        cells = self.pipeline.container.cells()
        return {partition: cells.epoch(partition) for partition in range(PARTITIONS)}

    def end_offsets(self) -> Mapping[int, int]:
        """The end offset of each partition of the log."""
        bounds = self.pipeline.container.log().bounds(range(PARTITIONS))
        return {partition: end for partition, (_, end) in bounds.items()}

    def committed(self) -> int:
        """How many records the cells have committed."""
        return sum(self.pipeline.container.cells().positions(range(PARTITIONS)).values())

    def wait_for_first_commit(self) -> None:
        """Wait until some cell has committed a record."""
        deadline_s = time.monotonic() + TIMEOUT_S
        while self.committed() == 0:
            if time.monotonic() > deadline_s:
                raise HarnessError(f"the workers have committed nothing in {TIMEOUT_S:.0f} s")
            time.sleep(0.02)

    def wait_until_processed(self, workers: Sequence[WorkerProcess], timeout_s: float = TIMEOUT_S) -> float:
        """Wait until views and outputs have everything that was published; return the seconds it took.

        Raises:
            HarnessError: it took longer than the timeout, or a worker ended.
        """
        began_s = time.monotonic()
        ends: Mapping[int, int] | None = None
        while time.monotonic() - began_s < timeout_s:
            for worker in workers:
                if not worker.is_running:
                    raise HarnessError(f"a worker ended by itself: {worker.last_line()}")
            positions = self.reader_positions()
            ends = self._last_records()  # read after the positions: what those records led to is in the log by now
            if ends is not None and all(positions[partition] >= end for partition, end in ends.items()):
                return time.monotonic() - began_s
            time.sleep(0.02)
        raise HarnessError(f"after {timeout_s:.0f} s readers are at {self.reader_positions()}, the log ends at {ends}")

    def _last_records(self) -> Mapping[int, int] | None:
        """The position behind the last record of each partition, without transaction markers; None while unknown."""
        try:
            if self.pipeline.container.topics().describe(self.settings.kafka.topic).hidden:
                return None  # a transaction is open, and the records behind it have yet to be processed
            if self._follower is None:
                kafka = attrs.evolve(self.settings.kafka, group=f"{self.settings.kafka.group}-follower")
                self._follower = LogFollower(Pipeline(attrs.evolve(self.settings, kafka=kafka)), PARTITIONS)
            return self._follower.ends()
        except (RecoverableError, Unavailable):  # for example a broker that has just started
            return None

    def spend_of(self, customer_id: str) -> int:
        """What a customer has spent, in ten-thousandths."""
        return self.pipeline.profile(customer_id).customer.purchases.spend

    def counts(self) -> Mapping[str, int]:
        """How many records the store has counted in each class."""
        return {name.value: count for name, count in self.pipeline.container.customer_queries().counts().items()}

    def differences(self) -> list[str]:
        """Compare the stores with what the oracle computes from the log; a line for each difference.

        An open transaction hides the outputs that were committed after it until the broker aborts it. Where only these
        are missing, the comparison is repeated for a while. Workers write ticks while nothing comes: where one came
        while log and store were read, the comparison is repeated, too, a few times.
        """
        until_s, others = time.monotonic() + HIDDEN_S, 0
        while True:
            found = self._compare()
            others += not all("dead letter of" in line or "late event of" in line for line in found)
            if not found or time.monotonic() > until_s or others >= COMPARED_MAX:
                return found
            time.sleep(1)

    def _compare(self) -> list[str]:
        kafka = attrs.evolve(self.settings.kafka, group=f"{self.settings.kafka.group}-check")
        with Pipeline(attrs.evolve(self.settings, kafka=kafka)) as reader:
            expected, found = compare(reader)
            records = sum(expected.counts.values()) - expected.counts[RecordClass.CONTROL]
        if records != self.published + expected.messages_expected:
            written = f"{self.published} events and {expected.messages_expected} messages were written"
            found = [f"{written}, the log holds {records} records", *found]
        return found
