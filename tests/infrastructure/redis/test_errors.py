"""Keys are deleted under a worker, Redis is slow or full, or the process is forked.

`test_rights.py` has missing rights, `test_resharding.py` slots that migrate, `test_servers.py` servers that are
refused; `docs/operations.md` has the table of all.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from threading import Event, Thread

import attrs
import pytest

from harness.services.redis import redis_binary, redis_server
from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.errors import Unavailable, Unreachable, UnrecoverableState
from realtime_pipeline.application.ports.cell_store import Commit
from realtime_pipeline.application.ports.observer import NoObserver
from realtime_pipeline.application.processing.settings import WorkerSettings
from realtime_pipeline.domain.recommendation.trending import TrendingSettings
from realtime_pipeline.domain.shop.events import CustomerId
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.infrastructure.redis.cells import RedisCellStore
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.customer_queries import RedisCustomerQueries
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.settings import RedisSettings
from tests.contracts.cell_store import effects, seen
from tests.support import servers
from tests.support.histories import SMALL, differences, event, opened
from tests.support.servers import ask

ADA = CustomerId("ada")
MARK = Watermark(1, 2, 3)
FIRST = [event("1", user="ada", product="mug"), event("2", user="bob", product="mug")]
SECOND = [event("3", user="ada", product="jug"), event("4", user="cyd", product="mug")]


def in_redis(settings: RedisSettings) -> Settings:
    return attrs.evolve(SMALL, partitions=1, log="memory", store="redis", redis=settings)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (lambda keys: keys.cell(0), "its cell is missing, while its views or outputs have records up to 2"),
        (
            lambda keys: keys.sources(0, 3),
            "sources:3, while its group has positions up to 2: somebody has deleted it; rebuild",
        ),
    ],
    ids=["a cell", "the position of a view cell"],
)
def test_a_missing_position_stops_the_worker_and_a_rebuild_mends_it(key: Callable[[Keys], str], reason: str) -> None:
    """Also while the outbox has entries, from which a view that lost everything would be merged again."""
    settings = in_redis(servers.redis_settings())
    gone = key(Keys(settings.redis.namespace))
    with opened(settings) as pipeline:
        pipeline.publish(FIRST)
        pipeline.process()
        assert ask(pipeline.container.redis_client(), gone, "UNLINK", gone) == 1
        pipeline.publish(SECOND)
        for _ in range(2):
            with pytest.raises(UnrecoverableState, match=reason):
                pipeline.process()
        pipeline.rebuild()
        pipeline.process()
        assert differences(pipeline) == []


def test_outbox_entries_that_views_and_outputs_have_are_not_missed() -> None:
    settings = in_redis(servers.redis_settings())
    outbox = Keys(settings.redis.namespace).outbox(0)
    with opened(settings) as pipeline:
        pipeline.publish(FIRST)
        pipeline.process()
        assert ask(pipeline.container.redis_client(), outbox, "UNLINK", outbox) == 1
        pipeline.publish(SECOND)
        pipeline.process()
        assert differences(pipeline) == []


def test_expired_sessions_are_no_neighbours() -> None:
    settings = in_redis(servers.redis_settings())
    looks = [event(f"{user}-{product}", user=user, product=product) for user in "ab" for product in ("mug", "jug")]
    with opened(settings) as pipeline:
        pipeline.publish([*looks, event("c", user="c", product="mug")])
        pipeline.process()
        client = pipeline.container.redis_client()
        assert [item.product.product_id for item in pipeline.recommend("c") if "visit" in item.explanation] == ["jug"]
        pattern = f"{settings.redis.namespace}:{{c0}}:sessions:*"
        names = {name.decode() for names in client.scan(pattern, 1_000) for name in names}
        assert [ask(client, name, "PEXPIRE", name, 0) for name in names] == [1]
        assert [item.product.product_id for item in pipeline.recommend("c") if "visit" in item.explanation] == []


def test_a_full_redis_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    place = servers.redis_address_with("--maxmemory-policy", "noeviction")
    worker = WorkerSettings(give_up_after_ms=1)
    settings = attrs.evolve(in_redis(RedisSettings(nodes=place)), worker=worker)
    with Pipeline(settings) as pipeline:
        pipeline.publish(FIRST)
        pipeline.process()
        client = pipeline.container.redis_client()
        ask(client, "", "CONFIG", "SET", "maxmemory", "1")
        pipeline.publish(SECOND)
        with pytest.raises(Unavailable, match=r"^Redis is full: .*: no answer for .* see to it, then start"):
            pipeline.process()
        assert pipeline.profile("ada").customer.customer_id == ADA
        ask(client, "", "CONFIG", "SET", "maxmemory", "0")
        pipeline.process()
        assert differences(pipeline) == []


def test_a_redis_that_does_not_answer_in_time_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    if redis_binary() is None:
        pytest.skip("there is no Redis")
    with redis_server(tmp_path) as server:
        settings = in_redis(RedisSettings(nodes=server.endpoint, request_timeout_ms=100))
        with Pipeline(attrs.evolve(settings, worker=WorkerSettings(give_up_after_ms=1))) as pipeline:
            pipeline.publish(FIRST)
            pipeline.process()
            server.process.signal(signal.SIGSTOP)
            try:
                with pytest.raises(Unavailable, match="Redis does not answer"):
                    pipeline.profile("ada")
                pipeline.publish(SECOND)
                with pytest.raises(Unavailable, match=r"Redis does not answer: .*: no answer for"):
                    pipeline.process()
            finally:
                server.process.signal(signal.SIGCONT)
            pipeline.process()
            assert differences(pipeline) == []


def test_a_commit_without_a_reply_counts_once(tmp_path: Path) -> None:
    """The server stops. When it goes on, it does the commit that it was sent, unless the next owner claims before."""
    if redis_binary() is None:
        pytest.skip("there is no Redis")
    with redis_server(tmp_path) as server:
        settings = RedisSettings(nodes=server.endpoint, request_timeout_ms=100)
        client = RedisClient(settings)
        cells = RedisCellStore(client, settings, 1_000, NoObserver())
        client.check()
        cells.claim(0, 1)
        server.process.signal(signal.SIGSTOP)
        try:
            with pytest.raises(Unreachable, match="Redis does not answer"):
                cells.commit([Commit(0, 1, 1, 0, 1, MARK, effects(seen(ADA)))])
        finally:
            server.process.signal(signal.SIGCONT)
        claimed = RedisCellStore(
            RedisClient(attrs.evolve(settings, request_timeout_ms=5_000)), settings, 1_000, NoObserver()
        ).claim(0, 2)
        if claimed.position == 0:
            cells.commit([Commit(0, 2, 1, 0, 1, MARK, effects(seen(ADA)))])
        counts = RedisCustomerQueries(client, settings, 1_000).counts()
        assert (cells.positions([0]), counts) == ({0: 1}, {RecordClass.APPLIED: 1})
        client.close()


@pytest.mark.parametrize("kind", ["single", "cluster"])
def test_a_child_after_a_fork_opens_connections_of_its_own(kind: str) -> None:
    """While another thread of the parent uses the same client, at any point of its work."""
    settings = in_redis(servers.redis_settings(kind))
    ends = Event()
    with opened(settings) as pipeline:
        pipeline.publish(FIRST)
        pipeline.process()
        customers, products = pipeline.container.customer_queries(), pipeline.container.product_queries()

        def found() -> list[object]:
            trending = products.trending(TrendingSettings(), None, 5)
            actions = [(product.product_id, product.actions) for product in trending]
            return [actions, sorted(customers.read_customers([ADA]))]

        def read_on() -> None:
            while not ends.is_set():
                found()

        busy = Thread(target=read_on)
        busy.start()
        try:
            for _ in range(3):
                child = os.fork()
                if child == 0:  # no error may get back into the tests
                    signal.alarm(20)
                    code = 1
                    try:
                        code = 7 if found() == [[("mug", 2)], [ADA]] else 2
                    finally:
                        os._exit(code)
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
                assert found() == [[("mug", 2)], [ADA]]
        finally:
            ends.set()
            busy.join()
        pipeline.publish(SECOND)
        pipeline.process()
        assert differences(pipeline) == []
