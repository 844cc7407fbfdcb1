"""kill -9 of the command that captures a database: in the end the customers have what its rows say, and the oracle."""

from pathlib import Path

import pytest

from harness.checking.compare import compare
from realtime_pipeline import Pipeline, load_settings
from realtime_pipeline.application.ports.observer import Stage
from realtime_pipeline.composition.settings import LogName
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.postgres.settings import PostgresSettings
from tests.support.faults import finished, killed, settings_file
from tests.support.servers import postgres_execute, postgres_settings

pytestmark = pytest.mark.xdist_group("postgres")

ROWS, CUSTOMERS, DELETED_EACH = 2_500, 99, 10
CAPTURE = ["capture", "shop", "--until-caught-up"]

SOURCE = """
[sources.shop]
mapping = "lines"
[sources.shop.postgres]
port = {0.port}
user = "{0.user}"
password = "{0.password}"
database = "{0.database}"
slot = "{0.slot}"
publication = "{0.publication}"
[mapping.lines.fields]
user_id = "row.customer"
timestamp = "row.placed_at"
order_id = "row.id"
product_id = "row.product"
price = "row.price"
[[mapping.lines.events]]
when = {{table = "public.lines", op = ["snapshot", "insert"]}}
fields = {{event_type = {{constant = "purchase"}}}}
[[mapping.lines.events]]
when = {{table = "public.lines", op = "delete"}}
fields = {{event_type = {{constant = "refund"}}, timestamp = "committed_at"}}
"""
CREATE = """
CREATE TABLE lines (id int PRIMARY KEY, customer text, product text, price numeric, placed_at timestamptz)
"""
INSERT = f"""
INSERT INTO lines SELECT n, 'customer-' || n % {CUSTOMERS}, 'mug-' || n % 7, n % 90 + 0.5,
  '2026-01-01'::timestamptz + n * interval '1 second' FROM generate_series({{0}}, {{0}} + {ROWS} - 1) AS n
"""  # noqa: S608
SPEND = "SELECT customer, (sum(price) * 10000)::bigint FROM lines GROUP BY customer"


def spend_in_database(settings: PostgresSettings) -> dict[str, int]:
    """What each customer's rows add up to, in ten-thousandths."""
    return {str(customer): int(str(spend)) for customer, spend in postgres_execute(settings, SPEND)}


@pytest.mark.parametrize("log", ["sqlite", "kafka"])
def test_a_capture_that_is_killed_brings_each_row_into_the_stores_once(tmp_path: Path, log: LogName) -> None:
    """It is killed at both ends of a publication, in the snapshot and in the stream. Rows have ids, but customers
    forget theirs, and refunds and purchases of one row differ: a copy or a gap would change what a customer has spent.
    """
    database = postgres_settings()
    postgres_execute(database, CREATE, "ALTER TABLE lines REPLICA IDENTITY FULL", INSERT.format(0))
    settings = settings_file(tmp_path, log, SOURCE.format(database))
    killed(settings, CAPTURE, Stage.SOURCE_READ, 2)
    killed(settings, CAPTURE, Stage.SOURCE_PUBLISHED, 1)
    finished(settings, CAPTURE)
    postgres_execute(database, INSERT.format(ROWS))
    killed(settings, CAPTURE, Stage.SOURCE_READ, 2)
    postgres_execute(database, f"DELETE FROM lines WHERE id % {DELETED_EACH} = 0")  # noqa: S608
    killed(settings, CAPTURE, Stage.SOURCE_PUBLISHED, 1)
    finished(settings, CAPTURE)
    with Pipeline(load_settings(settings, {})) as pipeline:
        counts = pipeline.process()
        assert counts == {RecordClass.APPLIED: 2 * ROWS + 2 * ROWS // DELETED_EACH}
        customers = pipeline.container.customer_queries().scan()
        spend = {str(customer.customer_id): customer.purchases.spend for customer in customers}
        assert spend == spend_in_database(database)
        assert compare(pipeline)[1] == []
