"""Servers that are gone, too old, moved or let nobody in, while a stream of others is read."""

import time
from pathlib import Path
from signal import SIGCONT, SIGSTOP

import pytest
import redis

from harness.checking.compare import compare
from harness.services.redis import RedisServer
from harness.services.resharding import move_slot, slot_of
from realtime_pipeline import Pipeline
from realtime_pipeline.application.errors import Unavailable, Unreachable
from realtime_pipeline.infrastructure.redis.stream_positions import StreamState
from realtime_pipeline.infrastructure.redis.stream_source import RedisStreamSource
from tests.support import servers
from tests.support.bridges import expected_ids, ids_by_customer, running, stop_the_log, view
from tests.support.histories import embedded
from tests.support.streams import Streams, read_all

pytestmark = pytest.mark.xdist_group("redis-streams")


def test_a_key_that_is_no_stream_is_refused(streams: Streams, source: RedisStreamSource) -> None:
    streams.do("SET", "text")
    with pytest.raises(Unavailable, match=f"{streams.settings.keys[0]} in Redis is a string, and no stream: correct"):
        source.open({})
    streams.do("UNLINK")
    source.open({})
    streams.do("SET", "text")
    with pytest.raises(Unavailable, match="a key of others in Redis is no stream"):
        source.read(10, 0.0)


def test_a_server_without_counts_is_too_old() -> None:
    """A server before Redis 7 replies without `entries-added`."""
    reply = [b"length", 0, b"last-generated-id", b"0-0", b"first-entry", None, b"last-entry", None]
    with pytest.raises(Unavailable, match="too old: use Redis 7"):
        StreamState.decode("orders", reply)


def test_a_user_without_rights_gets_the_rule(streams: Streams) -> None:
    name = servers.unique("reader")
    admin = redis.Redis(*_host(streams.settings.nodes))
    admin.execute_command("ACL", "SETUSER", name, "on", ">a secret", "+ping")
    source = streams.source(username=name, password="a secret", trim=True)  # noqa: S106
    key = streams.settings.keys[0]
    rule = rf"ACL SETUSER {name} \+type \+exists \+xinfo \+xrange \+xtrim ~{key}"
    with pytest.raises(Unavailable, match=rule) as raised:
        source.open({})
    assert not isinstance(raised.value, Unreachable)
    assert "a secret" not in f"{raised.value}{streams.settings!r}"
    admin.execute_command("ACL", "SETUSER", name, "+type", "+exists", "+xinfo", "+xrange", "+xtrim", f"~{key}")
    streams.add("a", "b")
    source.open({})
    values, positions = read_all(source)
    source.acknowledge(positions)
    assert (values, streams.do("XLEN")) == ([b"a", b"b"], 1)
    source.close()
    admin.close()


def test_a_wrong_password_is_refused(streams: Streams, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("guess\n")
    source = streams.source(username="nobody", password_file=str(file))
    with pytest.raises(Unavailable, match="does not let this user in") as raised:
        source.open({})
    assert not isinstance(raised.value, Unreachable)
    assert "guess" not in str(raised.value)


def test_a_server_that_is_not_there_is_unreachable(streams: Streams) -> None:
    with pytest.raises(Unreachable):
        streams.source(nodes="127.0.0.1:9").open({})


def test_a_stream_that_moves_to_other_nodes_loses_and_doubles_nothing(tmp_path: Path) -> None:
    nodes = servers.redis_cluster_nodes()
    streams = Streams(nodes=servers.redis_cluster_address(), cluster=True)
    slot = slot_of(nodes[0], streams.settings.keys[0])
    streams.add(*map(view, range(100)))
    with Pipeline(embedded("sqlite", tmp_path)) as pipeline:
        with running(pipeline, streams.source()) as run:
            run.wait_until(lambda progress: progress.published >= 50)
            for turn in range(1, 7):
                assert move_slot(nodes, slot, nodes[turn % 3], lambda: time.sleep(0.05)) <= 1
                streams.add(*map(view, range(100 * turn, 100 * turn + 100)))
            run.wait_until(lambda progress: progress.published == 700 and not progress.problem)
        assert ids_by_customer(pipeline) == expected_ids(range(700))
    streams.client.close()


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_server_that_is_gone_for_a_while_loses_and_doubles_nothing(how: str, tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "redis", None, "--appendfsync", "always")
    server.process.start()
    streams = Streams(nodes=server.endpoint, request_timeout_ms=300)
    try:
        streams.add(*(view(number) for number in range(100)))
        with Pipeline(embedded("sqlite", tmp_path)) as pipeline:
            with running(pipeline, streams.source()) as run:
                run.wait_until(lambda progress: progress.published == 100)
                if how == "stopped":
                    server.process.signal(SIGSTOP)
                else:
                    server.process.kill()
                run.wait_until(lambda progress: progress.problem != "")
                if how == "stopped":
                    server.process.signal(SIGCONT)
                else:
                    server.process.start()
                streams.add(*(view(number) for number in range(100, 200)))
                run.wait_until(lambda progress: progress.published == 200 and not progress.problem)
            assert ids_by_customer(pipeline) == expected_ids(range(200))
            pipeline.process()
            assert compare(pipeline)[1] == []
    finally:
        streams.client.close()
        server.process.kill()


def test_a_log_that_takes_nothing_stops_the_reading(streams: Streams, tmp_path: Path) -> None:
    stop_the_log(embedded("sqlite", tmp_path), streams.source(), lambda numbers: streams.add(*map(view, numbers)))


def _host(node: str) -> tuple[str, int]:
    host, _, port = node.partition(":")
    return host, int(port)
