"""Servers without containers: started, found running, stopped; and the benchmarks that need them."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.commands.main import main
from harness.services.kafka import fetch, kafka_missing_reason, libraries
from harness.services.process import free_port
from tests.support import servers

pytestmark = pytest.mark.xdist_group("kafka")


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_servers_are_started_once_and_stopped(tmp_path: Path) -> None:
    if kafka_missing_reason() is not None:
        pytest.skip(str(kafka_missing_reason()))
    servers.redis_address()
    (tmp_path / libraries().name).symlink_to(fetch())
    kafka, redis = free_port(), free_port()
    environment = os.environ | {"REALTIME_PIPELINE_SERVICES": str(tmp_path)}

    def services(*words: str) -> str:
        command = [sys.executable, "-m", "harness", "services", *words]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
        return ended.stdout

    start = ("start", "--kafka-port", str(kafka), "--redis-port", str(redis))
    try:
        assert f"kafka at 127.0.0.1:{kafka}" in services(*start)
        assert (is_open(kafka), is_open(redis)) == (True, True)
        assert "kafka is running already" in services(*start)
    finally:
        output = services("stop")
    assert "kafka has stopped" in output
    assert (is_open(kafka), is_open(redis)) == (False, False)
    assert services("stop") == ""


def test_without_java_the_reason_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert main(["services", "fetch"]) == 0
    assert "there is no Kafka: it needs Java 17 or newer; tests that need it are skipped" in capsys.readouterr().out


def settings_file(folder: Path) -> str:
    kafka, redis = servers.kafka_settings(2), servers.redis_settings()
    file = folder / "settings.toml"
    file.write_text(
        'log = "kafka"\nstore = "redis"\npartitions = 2\n'
        f'[kafka]\nbrokers = "{kafka.brokers}"\ntopic = "{kafka.topic}"\n'
        f'dead_letters_topic = "{kafka.dead_letters_topic}"\n'
        f'late_events_topic = "{kafka.late_events_topic}"\ngroup = "{kafka.group}"\n'
        f'[redis]\nnodes = "{redis.nodes}"\nnamespace = "{redis.namespace}"\n',
        "utf-8",
    )
    return str(file)


def test_the_worker_is_measured_on_kafka_and_redis(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    bench = ["bench", "worker", "--log", "kafka", "--store", "redis", "--settings", settings_file(tmp_path)]
    for workload in ("zipf", "hot"):
        size = ["--events", "600", "--customers", "50", "--products", "20", "--workload", workload]
        assert main([*bench, *size, "--json", str(figures)]) == 0
        measured = json.loads(figures.read_text("utf-8"))
        assert measured["events"] == 600
        assert measured["redis_us_per_event"] > 0
        assert measured["redis_log_bytes_per_event"] > 100


def test_freshness_is_measured(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    bench = ["bench", "freshness", "--log", "kafka", "--store", "redis", "--settings", settings_file(tmp_path)]
    assert main([*bench, "--rate", "200", "--seconds", "2", "--json", str(figures)]) == 0
    measured = json.loads(figures.read_text("utf-8"))
    assert 0 < measured["p50_ms"] <= measured["p99_ms"] <= measured["max_ms"]
    assert measured["probes"] >= 1


def test_an_outage_is_measured(tmp_path: Path) -> None:
    if kafka_missing_reason() is not None:
        pytest.skip(str(kafka_missing_reason()))
    servers.redis_address()
    figures = tmp_path / "figures.json"
    bench = ["bench", "outage", "--server", "redis", "--seconds", "2", "--events", "50000"]
    assert main([*bench, "--json", str(figures)]) == 0
    measured = json.loads(figures.read_text("utf-8"))
    assert measured["differences"] == []
    assert measured["events"] == 50_000


@pytest.mark.parametrize("source", ["kafka", "kinesis", "redis-stream"])
def test_the_bench_of_bridges_reads_every_record(tmp_path: Path, source: str) -> None:
    servers.kafka_address()
    servers.redis_address()
    servers.kinesis()
    figures = tmp_path / "figures.json"
    assert main(["bench", "bridge", "--source", source, "--events", "3000", "--json", str(figures)]) == 0
    measured = json.loads(figures.read_text())
    assert measured["records"] == 3_000
    assert all(measured[f"{name}_per_cpu_second"] > 0 for name in ("plain", "source", "log"))
