"""Messages that workers write for other customers, missing from the log or changed."""

import pytest

from harness.oracle.expected import expect
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.pipeline import Pipeline
from tests.harness.support.worked_histories import AT, SCHEMA

NOT_FORWARDED = "event e3 was not forwarded to anna, or with other content"


def test_a_missing_message_about_a_visitor_is_found() -> None:
    pipeline = Pipeline(Settings(log="memory", store="memory", partitions=1))
    visit = {"session_id": "s1", "timestamp": AT}
    look = {"event_type": "view", "event_id": "e1", **visit, "properties": {"product_id": "tea"}}
    login = {"event_type": "login", "event_id": "e2", "user_id": "anna", **visit}
    forget = {"event_type": "forget", "event_id": "e3", "user_id": "anna", "timestamp": AT + 2}
    late = {**login, "event_id": "e4", "session_id": "s2", "timestamp": AT + 1}
    for lines in ([look, login], [forget, late]):
        pipeline.publish(lines)
        pipeline.process()
    (records,) = pipeline.container.memory_log().records
    messages = [record for record in records if b"anonymous:s" in record.value]
    settings = pipeline.container.settings().folding
    assert len(records) == 4 + len(messages)
    whole = expect(records, SCHEMA, settings, 1)
    assert (whole.missing_messages, whole.messages_expected) == (
        [],
        4,
    )  # two profiles, and two visitors to forget
    for lost in messages:
        expected = expect([record for record in records if record is not lost], SCHEMA, settings, 1)
        assert expected.missing_messages
        assert all("log" in line for line in expected.missing_messages)
    again = records[-1]._replace(position=len(records))
    assert b'"customer_forgotten"' in again.value
    assert "should be as of" in expect([*records, again], SCHEMA, settings, 1).missing_messages[0]


@pytest.mark.parametrize(
    ("was", "becomes", "line"),
    [
        (b'"product_id":"cup"', b'"product_id":"tea"', NOT_FORWARDED),
        (
            b'"event_type":"view"',
            b'"event_type":"purchase"',
            NOT_FORWARDED,
        ),
        (
            b'"timestamp":%d' % (AT + 2),
            b'"timestamp":%d' % (AT + 1),
            NOT_FORWARDED,
        ),
        (b'"timestamp":%d' % (AT + 1), b'"timestamp":%d' % AT, f"in the log is as of [{AT}], should be as of {AT + 1}"),
    ],
)
def test_a_changed_message_is_found(was: bytes, becomes: bytes, line: str) -> None:
    pipeline = Pipeline(Settings(log="memory", store="memory", partitions=1))
    look = {
        "event_type": "view",
        "event_id": "e1",
        "session_id": "s1",
        "timestamp": AT,
        "properties": {"product_id": "tea"},
    }
    login = {"event_type": "login", "event_id": "e2", "session_id": "s1", "user_id": "anna", "timestamp": AT + 1}
    late = look | {"event_id": "e3", "timestamp": AT + 2, "properties": {"product_id": "cup"}}
    pipeline.publish([look, login, late])
    pipeline.process()
    (records,) = pipeline.container.memory_log().records
    settings = pipeline.container.settings().folding
    assert expect(records, SCHEMA, settings, 1).missing_messages == []
    messages = records[3:]
    assert len(messages) == 2
    assert sum(was in record.value for record in messages) == 1
    changed = [record._replace(value=record.value.replace(was, becomes)) for record in messages]
    (found,) = expect([*records[:3], *changed], SCHEMA, settings, 1).missing_messages
    assert line in found
