"""Real servers, a log and a store for each round, and the questions a round asks of them."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import attrs
import msgspec

from harness.chaos.log import Follower, with_all_kinds
from harness.chaos.workers import WorkerProcess
from harness.checking.compare import compare
from harness.services.kafka import KafkaBroker
from harness.services.redis import RedisServer, redis_cluster
from harness.simulation.shop import Shop
from harness.support.errors import HarnessError
from realtime_pipeline import Pipeline, Settings, load_settings
from realtime_pipeline.application.errors import RecoverableError, Unavailable
from realtime_pipeline.application.ingestion.publish_events import Submission
from realtime_pipeline.infrastructure.kafka.settings import TopicSettings
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.views import RedisViews

SESSION_MS = 3_000
TRANSACTION_MS = 3_000
RECOVERY_MS = 5_000
QUIET_S = 90.0
HIDDEN_S = 30.0
PARTITIONS = 6
START_MS = 1_700_000_000_000
SESSIONS = 200_000
SMALL_SIZE, FULL_SIZE = (60, 50), (2_000, 20_000)
"""How many products and customers the shop has."""

SETTINGS = """\
log = "kafka"
store = "redis"
partitions = {partitions}

[worker]
outbox_retention_ms = {outbox_retention_ms}
{small_worker}
[kafka]
brokers = "{brokers}"
topic = "{mark}-events"
dead_letters_topic = "{mark}-letters"
group = "{mark}"
linger_ms = 1
outputs_linger_ms = 150
request_timeout_ms = 8000
transaction_timeout_ms = {transaction_timeout_ms}

[redis]
nodes = "{redis}"
namespace = "{mark}"
request_timeout_ms = 1000
{small_commits}"""

SMALL_WORKER = """\
round_records_max = 120
cached_customers_max = 40
"""
SMALL_COMMITS = """\
commit_records_max = 25
commits_per_request = 1
"""
"""So small that every round has many commits, and every commit few records."""


@attrs.frozen
class Servers:
    """One broker, and a Redis with a replica."""

    kafka: KafkaBroker
    redis: RedisServer
    replica: RedisServer


@contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Running servers."""
    with ExitStack() as stack:
        redis = RedisServer(folder / "redis")
        replica = RedisServer(folder / "replica", None, "--replicaof", "127.0.0.1", str(redis.port))
        kafka = KafkaBroker(folder / "kafka")
        for server in (redis, replica, kafka):
            stack.callback(server.process.stop)
            server.process.start()
        yield Servers(kafka, redis, replica)


class ClusterUnderTest:
    """What one round takes place in: topics, a namespace, some workers, a stream of events.

    What must be put right when all is checked goes into `afterwards`.
    """

    def __init__(
        self, folder: Path, servers: Servers, mark: str, rng: Random, outbox_retention_ms: int, full_size: bool = False
    ) -> None:
        folder.mkdir(parents=True)
        self.servers = servers
        self.rng = rng
        self._folder = folder
        self._workers: list[WorkerProcess] = []
        self.afterwards = ExitStack()
        self._settings_file = folder / "settings.toml"
        self._settings_file.write_text(
            SETTINGS.format(
                partitions=PARTITIONS,
                outbox_retention_ms=outbox_retention_ms,
                brokers=servers.kafka.place,
                mark=mark,
                transaction_timeout_ms=TRANSACTION_MS,
                redis=servers.redis.place,
                small_worker="" if full_size else SMALL_WORKER,
                small_commits="" if full_size else SMALL_COMMITS,
            ),
            "utf-8",
        )
        self.settings: Settings = load_settings(self._settings_file, {})
        self.pipeline = Pipeline(self.settings)
        self.make_topics()
        size = FULL_SIZE if full_size else SMALL_SIZE
        shop = Shop(rng.randrange(1 << 30), *size, START_MS, dirt=0.06)
        products = [product.product_id for product in shop.products]
        events = with_all_kinds(shop.events(SESSIONS), size[1], products, rng)
        self._events = (msgspec.json.encode(event) for event in events)
        self.published = 0
        self._follower: Follower | None = None

    def move_to_cluster(self, view_cells: int) -> list[RedisServer]:
        """Keep the round's store in a cluster of its own: three masters, then their replicas."""
        nodes = self.afterwards.enter_context(redis_cluster(self._folder / "cluster", replicas=True))
        self.pipeline.close()
        text = self._settings_file.read_text("utf-8")
        places = ",".join(node.place for node in nodes)
        there = f'nodes = "{places}"\ncluster = true\nview_cells = {view_cells}'
        self._settings_file.write_text(text.replace(f'nodes = "{self.servers.redis.place}"', there), "utf-8")
        self.settings = load_settings(self._settings_file, {})
        self.pipeline = Pipeline(self.settings)
        return nodes

    def close(self) -> None:
        """Leave no process, and no topic; whatever of it fails, the rest is done, and what failed is raised then."""
        with ExitStack() as steps:
            steps.callback(self.afterwards.close)
            steps.callback(self.pipeline.close)
            steps.callback(self._unfollow)
            steps.callback(self._delete_topics)
            for worker in self._workers:
                steps.callback(worker.clear)

    def _delete_topics(self) -> None:
        topics = self.pipeline.container.topics()
        topics.delete([self.settings.kafka.topic, self.settings.kafka.dead_letters_topic])

    def _unfollow(self) -> None:
        if self._follower is not None:
            self._follower.close()
            self._follower = None

    def make_topics(self) -> None:
        """Make the round's topics, those that are not there."""
        self.pipeline.container.topics().create(TopicSettings(partitions=PARTITIONS))

    def make_again(self) -> None:
        """Make the topic that was deleted, and a publisher that knows it."""
        deadline_s = time.monotonic() + QUIET_S
        while self.settings.kafka.topic not in self.pipeline.container.topics().create(
            TopicSettings(partitions=PARTITIONS)
        ):
            if time.monotonic() > deadline_s:
                raise HarnessError("the topic cannot be made again")
            time.sleep(0.1)
        self.pipeline.container.publisher.reset()
        self.pipeline.container.publish_events.reset()

    def delete_offsets(self) -> None:
        """Delete what the workers' group has committed, once the brokers have given up its last member."""
        deadline_s = time.monotonic() + QUIET_S
        while True:
            try:
                self.pipeline.container.topics().delete_offsets()
            except Unavailable:  # it has members still
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(0.2)
            else:
                return

    def said(self) -> list[str]:
        """What the workers said last, those that are there and those that are not."""
        return [worker.described() for worker in self._workers]

    def worker(self, *fault: str) -> WorkerProcess:
        """Start a worker; with a fault it is a victim."""
        worker = WorkerProcess(self._folder, len(self._workers), self._settings_file, fault)
        self._workers.append(worker)
        return worker

    def publish(self, count: int) -> None:
        """Publish so many events of the shop, among them garbage, duplicates and repeats."""
        batch = [Submission(next(self._events)) for _ in range(count)]
        self.published += self.pipeline.container.publish_events().batch(batch)

    def publish_all(self, events: Sequence[Mapping[str, object]]) -> None:
        """Publish events of a round's own."""
        batch = [Submission(msgspec.json.encode(event)) for event in events]
        self.published += self.pipeline.container.publish_events().batch(batch)

    def publish_until(self, reached: Callable[[], bool], what: str) -> None:
        """Go on publishing, a little at a time, until something has come about."""
        deadline_s = time.monotonic() + QUIET_S
        while not reached():
            if time.monotonic() > deadline_s:
                raise HarnessError(f"{what} was not reached in {QUIET_S:.0f} s")
            self.publish(40)
            time.sleep(0.05)

    def positions(self) -> Mapping[int, int]:
        """Up to where the readers of each partition stand, the last of them; zeros while nobody answers."""
        container, partitions = self.pipeline.container, list(range(PARTITIONS))
        try:
            views, outputs = container.views().positions(partitions), container.outputs().positions(partitions)
        except RecoverableError:
            return dict.fromkeys(partitions, 0)
        return {partition: min(*views[partition], outputs[partition]) for partition in partitions}

    def epochs(self) -> Mapping[int, int]:
        """By which epoch each partition's cell was claimed last."""
        cells = self.pipeline.container.cells()
        return {partition: cells.epoch(partition) for partition in range(PARTITIONS)}

    def ends(self) -> Mapping[int, int]:
        """Where the log ends."""
        return {number: end for number, (_, end) in self.pipeline.container.log().bounds(range(PARTITIONS)).items()}

    def committed(self) -> int:
        """How many records the cells have."""
        return sum(self.pipeline.container.cells().positions(range(PARTITIONS)).values())

    def wait_for_start(self) -> None:
        """Wait until something is committed."""
        deadline_s = time.monotonic() + QUIET_S
        while self.committed() == 0:
            if time.monotonic() > deadline_s:
                raise HarnessError("the workers have not begun")
            time.sleep(0.02)

    def wait_until_done(self, workers: Sequence[WorkerProcess], bound_s: float = QUIET_S) -> float:
        """Wait until everything published so far has come to every reader; return the seconds it took."""
        began_s = time.monotonic()
        ends: Mapping[int, int] | None = None
        while time.monotonic() - began_s < bound_s:
            for worker in workers:
                if not worker.is_running:
                    raise HarnessError(f"a worker ended by itself: {worker.said()}")
            stand = self.positions()
            ends = self._last_records()  # read after the stand: what those records led to is in the log by now
            if ends is not None and all(stand[number] >= end for number, end in ends.items()):
                return time.monotonic() - began_s
            time.sleep(0.02)
        raise HarnessError(f"after {bound_s:.0f} s readers stand at {self.positions()}, the log ends at {ends}")

    def _last_records(self) -> Mapping[int, int] | None:
        """Behind the last record of each partition, marks of transactions apart; None while that cannot be told."""
        try:
            if self.pipeline.container.topics().describe(self.settings.kafka.topic).hidden:
                return None  # somebody's transaction is open, and what lies behind it has yet to be worked off
            if self._follower is None:
                kafka = attrs.evolve(self.settings.kafka, group=f"{self.settings.kafka.group}-follower")
                self._follower = Follower(Pipeline(attrs.evolve(self.settings, kafka=kafka)), PARTITIONS)
            return self._follower.ends()
        except (RecoverableError, Unavailable):  # as of a broker that has just started
            return None

    def replica_positions(self) -> Mapping[int, int]:
        """Up to where all views stand by what the replica has; zeros while it does not answer."""
        rules, stores = attrs.evolve(self.settings.redis, nodes=self.servers.replica.place), self.settings.stores
        nodes = RedisClient(rules)
        try:
            views = RedisViews(nodes, rules, stores.listed_sessions_max, stores.activity_retention_hours)
            found = views.positions(range(PARTITIONS))
        except RecoverableError:
            return dict.fromkeys(range(PARTITIONS), 0)
        finally:
            nodes.close()
        return {partition: min(positions) for partition, positions in found.items()}

    def spent(self, customer_id: str) -> int:
        """What a customer has spent, in ten-thousandths."""
        return self.pipeline.profile(customer_id).customer.purchases.spend

    def counts(self) -> Mapping[str, int]:
        """How many records the store has in each class."""
        return {name.value: count for name, count in self.pipeline.container.cells().counts().items()}

    def differences(self) -> list[str]:
        """Where the stores are not what the oracle makes of the log.

        A transaction that was left open hides the letters committed after it, until the broker ends it; so letters that
        are missing are looked for again for a while.
        """
        until_s = time.monotonic() + HIDDEN_S
        while True:
            found = self._differences()
            if not found or time.monotonic() > until_s or not all("dead letter of" in line for line in found):
                return found
            time.sleep(1)

    def _differences(self) -> list[str]:
        kafka = attrs.evolve(self.settings.kafka, group=f"{self.settings.kafka.group}-check")
        with Pipeline(attrs.evolve(self.settings, kafka=kafka)) as reader:
            expected, found = compare(reader)
            records = sum(expected.counts.values())
        if records != self.published + expected.handed_on:
            counted = f"{self.published} events were published and {expected.handed_on} handed on"
            found = [f"{counted}, the log holds {records}", *found]
        return found
