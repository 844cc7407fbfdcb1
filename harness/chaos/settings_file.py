"""The settings file of a round, which its workers read."""

from pathlib import Path
from typing import Final

from harness.chaos.servers import Servers

PARTITIONS: Final = 6
TRANSACTION_MS: Final = 3_000

_TEMPLATE: Final = """\
log = "kafka"
store = "redis"
partitions = {partitions}

[worker]
outbox_retention_ms = {outbox_retention_ms}
{small_worker}
[kafka]
brokers = "{brokers}"
topic = "{name}-events"
dead_letters_topic = "{name}-letters"
late_events_topic = "{name}-late"
group = "{name}"
linger_ms = 1
outputs_linger_ms = 150
request_timeout_ms = 8000
transaction_timeout_ms = {transaction_timeout_ms}

[redis]
{nodes}
namespace = "{name}"
request_timeout_ms = 1000
{small_commits}"""

_WINDOWS: Final = """
[[analytics.windows]]
name = "minutes"
window = {size_ms = 60000}
key = ["event_type", "category"]
measures = {events = {measure = "count"}, net = {measure = "sum", field = "net_amount"}}
lateness_ms = 60000

[[analytics.windows]]
name = "active"
window = {size_ms = 1800000, slide_ms = 600000}
lateness_ms = 0
[analytics.windows.measures]
users = {measure = "distinct", field = "customer_id", entries_max = 20}
products = {measure = "top", field = "product_id", limit = 3, entries_max = 10}

[[analytics.windows]]
name = "days"
window = {calendar = "day", timezone = "Europe/Berlin"}
key = ["product_id"]
where = {event_type = ["product_purchased", "purchase_cancelled"]}
keys_max = 8
measures = {units = {measure = "sum", field = "quantity"}, price = {measure = "quantiles", field = "price"}}
"""
"""Windows of every kind; late events, too many keys, and values beyond what is exact are in each round."""

_STREAM: Final = """
[sources.{source}.redis]
keys = ["{key}"]
nodes = "{nodes}"
field = "json"
trim = true
"""

_SMALL_WORKER: Final = """\
round_records_max = 120
cached_customers_max = 40
"""
_SMALL_COMMITS: Final = """\
commit_records_max = 25
commits_per_request = 1
"""
"""So small that every round of a worker has many commits, and every commit few records."""


def write_settings(file: Path, servers: Servers, name: str, outbox_retention_ms: int, full_size: bool) -> None:
    """Write the settings of a round.

    Args:
        file: where to write them.
        servers: the broker and the Redis that the round uses.
        name: the prefix of the round's topics, group and namespace.
        outbox_retention_ms: how long entries stay in the outbox.
        full_size: whether rounds and commits of workers have their usual size, not a small size.
    """
    text = _TEMPLATE.format(
        partitions=PARTITIONS,
        outbox_retention_ms=outbox_retention_ms,
        brokers=servers.kafka.endpoint,
        name=name,
        transaction_timeout_ms=TRANSACTION_MS,
        nodes=_single(servers),
        small_worker="" if full_size else _SMALL_WORKER,
        small_commits="" if full_size else _SMALL_COMMITS,
    )
    file.write_text(text + _WINDOWS, "utf-8")


def add_stream(file: Path, servers: Servers, source: str, key: str) -> None:
    """Add a source to the settings of a round: a stream of others in its Redis, which is trimmed as it is read."""
    text = file.read_text("utf-8") + _STREAM.format(source=source, key=key, nodes=servers.redis.endpoint)
    file.write_text(text, "utf-8")


def use_cluster(file: Path, servers: Servers, endpoints: str, view_cells: int) -> None:
    """Change the settings of a round to another store: a Redis cluster, by its nodes' endpoints."""
    cluster = f'nodes = "{endpoints}"\ncluster = true\nview_cells = {view_cells}'
    file.write_text(file.read_text("utf-8").replace(_single(servers), cluster), "utf-8")


def _single(servers: Servers) -> str:
    return f'nodes = "{servers.redis.endpoint}"'
