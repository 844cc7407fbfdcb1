"""The commands of the harness and their options."""

import argparse
from pathlib import Path
from typing import TypeAlias

from harness.benchmarks import bridge, capture, freshness, growth, ingest, outage, recommend, worker
from harness.benchmarks.windows import SHIPPED
from harness.chaos.rounds import ROUNDS
from harness.commands import chaos, demo, evaluate, experiment, fault, oracle, release_fixture, replay, services
from harness.formats import FORMATS
from harness.support.disorder import POSITIONS_MAX
from harness.support.environment import add_environment
from realtime_pipeline.application.evaluation.protocols import PROTOCOLS

DESCRIPTION = """\
Runs the pipeline on simulated and on real data, compares its stores with a batch oracle, and measures it.

The harness is a tool of the source checkout: run it from the root of the checkout. It is not installed with
the library, whose own command is realtime-pipeline.
"""
EPILOG = """\
examples:
  python -m harness demo
  python -m harness replay --format online-retail --data online_retail.csv.zst --check
  python -m harness replay --format events --data monday.jsonl.gz tuesday.jsonl.gz --customer ada --database shop.db
  python -m harness bench worker --workload uniform --customers 1000000 --events 1000000
"""

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def build_parser() -> argparse.ArgumentParser:
    """Build the parser; its result has the chosen command as `command`, a function of the options."""
    parser = argparse.ArgumentParser(
        prog="python -m harness",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", metavar="FILE", type=Path, help="write the figures into this file")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_demo(commands, common)
    _add_replay(commands, common)
    _add_oracle(commands, common)
    _add_evaluate(commands, common)
    _add_experiment(commands, common)
    _add_bench(commands, common)
    _add_faults(commands, common)
    _add_services(commands, common)
    _add_chaos(commands, common)
    _add_release_fixture(commands, common)
    return parser


def _add_demo(commands: Commands, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "demo", parents=[common], help="run a simulated shop through the whole pipeline, and show what it recommends"
    )
    parser.add_argument("--seed", type=int, default=7, help="the seed of the shop (default: 7)")
    parser.add_argument("--sessions", type=_count, default=15_000, help="visits of about 7 events (default: 15000)")
    parser.add_argument("--database", metavar="FILE", type=Path, help="keep log and store in this file")
    add_environment(parser)
    parser.set_defaults(command=demo.run)


def _add_replay(commands: Commands, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser("replay", parents=[common], help="run real files through the whole pipeline")
    _add_data(parser)
    add_environment(parser)
    parser.add_argument("--database", metavar="FILE", type=Path, help="keep log and store in this file")
    parser.add_argument(
        "--catalogue", metavar="FILE", type=Path, help="JSON lines of product_id, name, category, price"
    )
    parser.add_argument(
        "--windows", action="store_true", help="count all windows of the library, too, and revenue by country and day"
    )
    parser.add_argument("--check", action="store_true", help="compare the store with the batch oracle, field by field")
    parser.set_defaults(command=replay.run)


def _add_oracle(commands: Commands, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "oracle", parents=[common], help="compute what a store must hold after a replay, in a plain batch"
    )
    _add_data(parser)
    parser.add_argument("--settings", metavar="FILE", type=Path, help="a TOML file of settings")
    parser.set_defaults(command=oracle.run)


def _add_evaluate(commands: Commands, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "evaluate", parents=[common], help="compare how well models predict what visitors touch next"
    )
    parser.add_argument("--train", metavar="FILE", type=Path, nargs="+", help="the training set")
    parser.add_argument("--test", metavar="FILE", type=Path, nargs="+", help="the test set")
    parser.add_argument("--data", metavar="FILE", type=Path, nargs="+", help="both sets, to be split by time")
    parser.add_argument("--tested", type=_share, default=0.1, help="the share of --data in the test set (default: 0.1)")
    parser.add_argument("--format", choices=sorted(FORMATS), default="rsc15", help="(default: rsc15)")
    names = list(evaluate.MODELS)
    parser.add_argument("--models", choices=names, nargs="+", default=names, help="(default: all)")
    parser.add_argument("--k", type=_count, default=20, help="the length of the lists (default: 20)")
    parser.add_argument("--protocol", choices=sorted(PROTOCOLS), default="session-rec", help="(default: session-rec)")
    parser.add_argument("--settings", metavar="FILE", type=Path, help="a TOML file of settings for the served model")
    parser.add_argument("--seed", type=int, default=7, help="the seed of the bootstrap (default: 7)")
    parser.set_defaults(command=evaluate.run)


def _add_experiment(commands: Commands, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "experiment", parents=[common], help="show click-through and conversion of an experiment's variants"
    )
    parser.add_argument("name", metavar="NAME", help="the experiment's name, as in the settings")
    parser.add_argument("--settings", metavar="FILE", type=Path, help="a TOML file of settings")
    parser.add_argument("--database", metavar="FILE", type=Path, help="the file with the log (default: shop.db)")
    parser.add_argument("--control", metavar="VARIANT", help="the variant to compare with (default: the first by name)")
    parser.add_argument("--click-minutes", type=_count, default=30, help="how long a click counts (default: 30)")
    parser.add_argument("--buy-days", type=_count, default=7, help="how long a purchase counts (default: 7)")
    parser.add_argument("--seed", type=int, default=7, help="the seed of the bootstrap (default: 7)")
    parser.set_defaults(command=experiment.run)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", metavar="FILE", type=Path, nargs="+", required=True, help="files, also .gz and .zst")
    parser.add_argument("--format", choices=sorted(FORMATS), required=True)
    parser.add_argument(
        "--customer", metavar="ID", nargs="+", default=[], help="the customers to show (default: the most active)"
    )
    parser.add_argument("--limit", metavar="N", type=_count, help="only the first N lines in event-time order")
    parser.add_argument(
        "--disorder", metavar="SEED", type=int, help=f"shuffle the lines, each by up to {POSITIONS_MAX:,} positions"
    )
    parser.add_argument(
        "--collapse-repeats", action="store_true", help="give equal lines one event id, so that repeats are duplicates"
    )


def _add_bench_of_sources(benches: Commands, common: argparse.ArgumentParser) -> None:
    """Add the benchmarks of files, queues and databases."""
    parser = benches.add_parser(
        "ingest", parents=[common], help="rows per CPU-second from files into the log, beside plain reading"
    )
    parser.add_argument("--events", type=_count, default=100_000)
    parser.set_defaults(command=ingest.run)

    parser = benches.add_parser(
        "bridge", parents=[common], help="records per CPU-second from a queue into the log, beside plain reading"
    )
    parser.add_argument("--source", choices=sorted(bridge.SOURCES), required=True)
    parser.add_argument("--events", type=_count, default=200_000)
    parser.set_defaults(command=bridge.run)

    parser = benches.add_parser(
        "capture", parents=[common], help="rows of Postgres per CPU-second, and the lag of their changes"
    )
    parser.add_argument("--rows", type=_count, default=200_000, help="rows of the table (default: 200000)")
    parser.add_argument("--rate", type=_count, default=2_000, help="inserted rows a second (default: 2000)")
    parser.add_argument("--seconds", type=_count, default=20, help="for how long (default: 20)")
    parser.set_defaults(command=capture.run)


def _add_bench(commands: Commands, common: argparse.ArgumentParser) -> None:
    benches = commands.add_parser("bench", help="measure speed, latency, memory and sizes").add_subparsers(
        required=True, metavar="WHAT"
    )
    parser = benches.add_parser(
        "worker", parents=[common], help="events per second and per CPU-second, share of each stage, peak memory"
    )
    add_environment(parser)
    parser.add_argument("--workload", choices=sorted(worker.WORKLOADS), default="shop")
    parser.add_argument("--workers", type=_count, default=1, help="how many worker processes (default: 1; Kafka only)")
    parser.add_argument("--windows", action="store_true", help="count four windows, too")
    parser.add_argument("--shipped", choices=sorted(SHIPPED), default="none", help="windows of the library, too")
    parser.add_argument("--events", type=_count, default=300_000)
    parser.add_argument("--customers", type=_count, default=50_000)
    parser.add_argument("--products", type=_count, default=2_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.set_defaults(command=worker.run)

    parser = benches.add_parser("recommend", parents=[common], help="latency and CPU of lists, at a rate of requests")
    add_environment(parser)
    parser.add_argument("--visits", type=_count, default=20_000, help="sessions in the store (default: 20000)")
    parser.add_argument("--products", type=_count, default=2_000)
    parser.add_argument(
        "--rates",
        type=_count,
        nargs="+",
        default=[100],
        metavar="RATE",
        help="requests a second, in turn (default: 100)",
    )
    parser.add_argument("--looks", type=_count, default=4, help="events of a visit (default: 4)")
    parser.add_argument("--seconds", type=_count, default=20, help="for how long (default: 20)")
    parser.add_argument("--processes", type=_count, default=1, help="processes that answer requests (default: 1)")
    parser.add_argument("--threads", type=_count, default=2, help="threads in each process (default: 2)")
    parser.add_argument(
        "--together", type=_count, default=2, help="how many waiting requests a thread answers in one call (default: 2)"
    )
    parser.add_argument("--one-core", action="store_true", help="all processes share one core (Linux)")
    parser.add_argument("--ingesting", action="store_true", help="run a worker at full speed meanwhile")
    parser.add_argument("--seed", type=int, default=7)
    parser.set_defaults(command=recommend.run)

    parser = benches.add_parser(
        "freshness", parents=[common], help="time from publishing an event to recommendations based on it"
    )
    add_environment(parser)
    parser.add_argument("--rate", type=_count, default=5_000, help="other events a second (default: 5000)")
    parser.add_argument("--seconds", type=_count, default=30, help="for how long (default: 30)")
    parser.set_defaults(command=freshness.run)

    parser = benches.add_parser("growth", parents=[common], help="bytes of the SQLite file per event and customer")
    parser.add_argument("--workload", choices=sorted(worker.WORKLOADS), default="shop")
    parser.add_argument("--events", type=_count, default=300_000)
    parser.add_argument("--customers", type=_count, default=50_000)
    parser.add_argument("--products", type=_count, default=2_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.set_defaults(command=growth.run)

    _add_bench_of_sources(benches, common)

    parser = benches.add_parser("outage", parents=[common], help="a while without Redis or Kafka, at full load")
    parser.add_argument("--server", choices=("redis", "kafka"), required=True)
    parser.add_argument("--seconds", type=_count, default=60, help="for how long (default: 60)")
    parser.add_argument("--events", type=_count, default=600_000)
    parser.set_defaults(command=outage.run)


def _add_faults(commands: Commands, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "fault", parents=[common], help="run a worker, a publisher, a backup or a command that kills or stops itself"
    )
    parser.add_argument("role", choices=("worker", "publisher", "backup", "command"))
    parser.add_argument("--database", metavar="FILE", type=Path)
    parser.add_argument(
        "--data", metavar="FILE", type=Path, help="what the publisher publishes, or where the backup goes"
    )
    parser.add_argument("--settings", metavar="FILE", type=Path, help="a TOML file of settings")
    parser.add_argument("--at", choices=sorted(fault.POINTS), help="the stage at which it kills or stops itself")
    parser.add_argument("--how", choices=sorted(fault.SIGNALS), default="kill", help="(default: kill)")
    parser.add_argument("--mark", metavar="FILE", type=Path, help="a file to create when the stage is reached")
    parser.add_argument("--on", action="store_true", help="run until SIGTERM: not to reach the stage is no error")
    parser.add_argument("--times", type=_count, default=1, help="at which time the stage is reached (default: 1)")
    parser.add_argument(
        "--run", metavar="ARGUMENT", nargs=argparse.REMAINDER, default=[], help="the command: publish --once FILE …"
    )
    parser.set_defaults(command=fault.run)


def _add_services(commands: Commands, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "services", parents=[common], help="run Kafka and Redis on this machine, without containers"
    )
    parser.add_argument("action", choices=("fetch", "start", "stop"))
    parser.add_argument("--kafka-port", type=_count, default=services.KAFKA_PORT, help="(default: 9092)")
    parser.add_argument("--redis-port", type=_count, default=services.REDIS_PORT, help="(default: 6379)")
    parser.set_defaults(command=services.run)


def _add_chaos(commands: Commands, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "chaos", parents=[common], help="inject faults on real Kafka and Redis, and check the stores after each"
    )
    parser.add_argument("--rounds", type=_count, default=len(ROUNDS), help="(default: one of each kind)")
    parser.add_argument("--kind", choices=sorted(ROUNDS), help="rounds of this kind only")
    parser.add_argument("--seed", type=int, default=1, help="the seed of all random choices (default: 1)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first round (default: 0)")
    parser.set_defaults(command=chaos.run)


def _add_release_fixture(commands: Commands, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "release-fixture", parents=[common], help="write the small stores of this release that later releases must read"
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a new folder, such as tests/releases/0.2")
    parser.set_defaults(command=release_fixture.run)


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError("must be a share between 0 and 1")
    return share


def _count(text: str) -> int:
    digits = text.replace("_", "")
    if not digits.isdecimal() or int(digits) < 1:
        raise argparse.ArgumentTypeError("must be a whole number, 1 or more")
    return int(digits)
