"""Brokers that deny a right, or do not answer for a while: the errors, and that no event is lost."""

from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclBindingFilter, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.domain.streams.effects import RecordClass
from tests.integration.kafka_and_redis import on_kafka
from tests.support import servers
from tests.support.histories import append, differences, event

pytestmark = pytest.mark.xdist_group("kafka")


@pytest.fixture
def signed_in() -> Settings:
    """A pipeline that signs in to Kafka, as a user whose rights can be denied."""
    kafka = attrs.evolve(servers.kafka_settings_signed_in(), request_timeout_ms=2_000)
    return Settings(log="kafka", store="redis", kafka=kafka, redis=servers.redis_settings())


@contextmanager
def denied(settings: Settings, kind: ResourceType, name: str, operation: AclOperation) -> Iterator[None]:
    """Deny the user an operation on a topic, a group or a transaction until the block ends."""
    admin = AdminClient({"bootstrap.servers": servers.kafka_address()})
    user, pattern = f"User:{settings.kafka.username}", ResourcePatternType.LITERAL
    rule = (kind, name, pattern, user, "*", operation, AclPermissionType.DENY)
    for future in admin.create_acls([AclBinding(*rule)]).values():
        future.result(30)
    try:
        yield
    finally:
        for future in admin.delete_acls([AclBindingFilter(*rule)]).values():
            future.result(30)


def test_a_publisher_without_the_right_to_write_is_refused_until_it_has_it(signed_in: Settings) -> None:
    with Pipeline(signed_in) as pipeline:
        with (
            denied(signed_in, ResourceType.TOPIC, signed_in.kafka.topic, AclOperation.WRITE),
            pytest.raises(Unavailable, match="Kafka does not let this user in"),
        ):
            append(pipeline, [event("1", product="mug")])
        append(pipeline, [event("1", product="mug")])
        assert pipeline.process() == {RecordClass.APPLIED: 1}


@pytest.mark.parametrize("what", ["events", "group"])
def test_a_worker_without_the_right_to_read_is_refused_and_changes_nothing(signed_in: Settings, what: str) -> None:
    kinds = {
        "events": (ResourceType.TOPIC, signed_in.kafka.topic),
        "group": (ResourceType.GROUP, signed_in.kafka.group),
    }
    with Pipeline(signed_in) as publisher:
        append(publisher, [event("1", product="mug"), b"garbage"])
        with (
            denied(signed_in, *kinds[what], AclOperation.READ),
            Pipeline(signed_in) as worker,
            pytest.raises(Unavailable, match="Kafka does not let this user in"),
        ):
            worker.process()
        assert publisher.container.customer_queries().counts() == {}
        assert publisher.process() == {RecordClass.APPLIED: 1, RecordClass.DEAD_LETTER: 1}
        assert differences(publisher) == []


def test_outputs_without_the_right_to_write_stay_pending(signed_in: Settings) -> None:
    with Pipeline(signed_in) as pipeline:
        append(pipeline, [event("1", product="mug"), b"garbage"])
        with (
            denied(signed_in, ResourceType.TOPIC, signed_in.kafka.dead_letters_topic, AclOperation.WRITE),
            Pipeline(signed_in) as worker,
            pytest.raises(Unavailable, match="Kafka does not let this user in"),
        ):
            worker.process()
        assert pipeline.process() == {RecordClass.APPLIED: 1, RecordClass.DEAD_LETTER: 1}
        assert differences(pipeline) == []


def test_a_slow_broker_is_named_and_no_event_counts_twice() -> None:
    settings = on_kafka(partitions=1)
    hasty = attrs.evolve(settings, kafka=attrs.evolve(settings.kafka, delivery_timeout_ms=500))
    with Pipeline(settings) as pipeline, Pipeline(hasty) as publisher:
        append(pipeline, [event("1", product="mug")])
        pipeline.process()
        publisher.container.publisher()
        with servers.kafka_stopped():
            with pytest.raises(Unavailable, match=r"acknowledged 0 of 1 event in 0\.5 s|not take all of 1 event"):
                append(publisher, [event("2", product="jug")])
            assert pipeline.container.process_events()(0.2).records == 0
        append(pipeline, [event("2", product="jug"), b"garbage"])  # the first may have come, too
        counts = pipeline.process()
        assert (counts[RecordClass.APPLIED], counts[RecordClass.DEAD_LETTER]) == (2, 1)
        assert differences(pipeline) == []
