"""`realtime-pipeline capture`: databases and queues, on real servers, by the settings alone; with both logs."""

import json
from pathlib import Path

import pytest

from harness.checking.compare import compare
from realtime_pipeline import Pipeline
from realtime_pipeline.composition.settings_file import load_settings
from realtime_pipeline.domain.streams.effects import RecordClass
from tests.support import servers
from tests.support.commands import ran
from tests.support.queues import fill_stream, fill_topic

pytestmark = pytest.mark.xdist_group("kafka")

ORDERS = """
[mapping.orders]
time = "iso"
[mapping.orders.fields]
user_id = "row.customer_id"
timestamp = "row.placed_at"
order_id = "row.order_id"
product_id = "row.sku"
price = "row.price"
quantity = "row.quantity"
[[mapping.orders.events]]
when = {table = "public.order_lines", op = ["insert", "snapshot"]}
fields = {event_type = {constant = "purchase"}}
[[mapping.orders.events]]
when = {table = "public.order_lines", op = "delete"}
fields = {event_type = {constant = "refund"}, timestamp = "committed_at"}
"""

TABLE = (
    "CREATE TABLE public.order_lines (order_id int, line int, customer_id text, sku text, price numeric(10, 4),"
    " quantity int, placed_at timestamptz, note text, PRIMARY KEY (order_id, line))"
)
FULL = "ALTER TABLE public.order_lines REPLICA IDENTITY FULL"


def line(order: int, number: int, price: str, quantity: int) -> str:
    values = f"{order}, {number}, 'ada', 'mug', {price}, {quantity}, '2026-02-01 10:00:00+01', 'x'"
    return f"INSERT INTO public.order_lines VALUES ({values})"


@pytest.fixture
def settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REALTIME_PIPELINE_SETTINGS", "settings.toml")
    return Path("settings.toml")


def counts() -> dict[str, int]:
    with Pipeline(load_settings("settings.toml", {})) as pipeline:
        found = pipeline.process()
        assert compare(pipeline)[1] == []
    return {name.value: count for name, count in found.items() if count and name is not RecordClass.CONTROL}


@pytest.mark.parametrize("log", ["sqlite", "kafka"])
def test_order_lines_of_a_database_become_purchases(
    log: str, settings_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    database = servers.postgres_settings()
    servers.postgres_execute(database, TABLE, FULL, line(1, 1, "2.5000", 2), line(1, 2, "0.1001", 10))
    text = f'log = "{log}"\ndatabase = "shop.db"\n'
    if log == "kafka":
        kafka, redis = servers.kafka_settings(3), servers.redis_settings()
        text += f'store = "redis"\n[kafka]\nbrokers = "{kafka.brokers}"\ntopic = "{kafka.topic}"\n'
        text += f'dead_letters_topic = "{kafka.dead_letters_topic}"\n'
        text += f'late_events_topic = "{kafka.late_events_topic}"\ngroup = "{kafka.group}"\n'
        text += f'[redis]\nnodes = "{redis.nodes}"\nnamespace = "{redis.namespace}"\n'
    named = ("port", "database", "user", "slot", "publication")
    group = "".join(f"{name} = {json.dumps(getattr(database, name))}\n" for name in named)
    settings_file.write_text(f'{text}{ORDERS}\n[sources.shop]\nmapping = "orders"\n[sources.shop.postgres]\n{group}')
    monkeypatch.setenv("REALTIME_PIPELINE_SOURCES__shop__POSTGRES__PASSWORD", database.password)
    for _ in range(2):
        code, out, err = ran(capsys, "capture", "shop", "--until-caught-up")
        assert code == 0, err
    assert "0 records read" in out
    servers.postgres_execute(
        database, line(2, 1, "10", 1), "DELETE FROM public.order_lines WHERE order_id = 1 AND line = 1"
    )
    assert "2 records read, 2 events published" in ran(capsys, "capture", "shop", "--until-caught-up")[1]
    assert counts() == {"applied": 4}
    _, out, _ = ran(capsys, "profile", "ada")
    # 2 x 2.5000 + 10 x 0.1001 + 10 - 2 x 2.5000
    assert "bought     11 pieces in 2 orders for 11.00" in out
    servers.postgres_execute(
        database, "ALTER TABLE public.order_lines DROP COLUMN sku", "DELETE FROM public.order_lines"
    )
    code, _, err = ran(capsys, "capture", "shop", "--until-caught-up")
    assert (code, "sku" in err, "public.order_lines" in err) == (1, True, True)
    assert counts() == {"applied": 4}


VIEWS = [
    b'{"event_type":"view","user_id":"u%d","timestamp":%d,"properties":{"product_id":"mug"}}' % (number % 3, number)
    for number in range(50)
]


@pytest.mark.parametrize("kind", ["kafka", "redis", "kinesis"])
def test_queues_are_read_once(
    kind: str, settings_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = servers.unique("views")
    if kind == "kafka":
        fill_topic(name, VIEWS)
        group = f'topic = "{name}"\nbrokers = "{servers.kafka_address()}"\n'
    elif kind == "redis":
        fill_stream(name, VIEWS)
        group = f'keys = ["{name}"]\nfield = "json"\nnodes = "{servers.redis_address()}"\n'
    else:
        server = servers.kinesis()
        client = server.client()
        client.create_stream(StreamName=name, ShardCount=2)
        client.put_records(
            StreamName=name, Records=[{"Data": value, "PartitionKey": str(n)} for n, value in enumerate(VIEWS)]
        )
        group = (
            f'stream = "{name}"\nregion = "eu-central-1"\nendpoint_url = "{server.endpoint}"\naccess_key_id = "test"\n'
        )
        monkeypatch.setenv("REALTIME_PIPELINE_SOURCES__queue__KINESIS__SECRET_ACCESS_KEY", "test")
    settings_file.write_text(f'database = "shop.db"\n[sources.queue.{kind}]\n{group}')
    assert "50 records read, 50 events published" in ran(capsys, "capture", "queue", "--until-caught-up")[1]
    assert "0 records read" in ran(capsys, "capture", "queue", "--until-caught-up")[1]
    assert counts() == {"applied": 50}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", 'there is no source "shop": write [sources.shop] (there are: none)'),
        ("[sources.shop]\n", "a source needs exactly one of the groups postgres, kafka, redis, kinesis"),
        ("[sources.shop.postgres]\nhost='x'\n", "sources.shop needs a mapping"),
        ("[sources.shop.postgres]\nhots='x'\n", "there is no sources.shop.postgres.hots; did you mean"),
        ("[sources.shop]\nmapping='x'\n[sources.shop.kafka]\ntopic='y'\n", 'there is no mapping "x"'),
    ],
)
def test_what_cannot_be_captured_is_said_in_a_line(
    text: str, message: str, settings_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings_file.write_text(text)
    code, _, err = ran(capsys, "capture", "shop")
    assert (code, message in err, err.count("\n")) == (1, True, 1), err
