"""A missing right is named with the rule that grants it. Once it is granted, every event counts exactly once."""

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.rights import calls_of_worker
from realtime_pipeline.infrastructure.redis.settings import RedisSettings
from tests.support import servers
from tests.support.histories import SMALL, differences, event, opened, state
from tests.support.servers import ask

COMMANDS = [str(call[0]) for call in calls_of_worker(RedisSettings())]
CHECKED_BEFORE_WRITES = {
    *("XADD", "MSET", "UNLINK", "HSET", "HDEL", "HKEYS", "PEXPIRE", "HINCRBY"),
    *("ZADD", "ZCARD", "ZRANGE", "ZREMRANGEBYRANK"),
}
FIRST = [
    event("1", "purchase", "ada", product="mug", price=4, quantity=2, order_id="o1"),
    event("2", "review", "ada", product="mug", rating=4),
    event("3", "view", None, session="s", product="jug", category="kitchen"),
]
SECOND = [
    event("4", "purchase", "bob", product="mug", price=4, quantity=1, order_id="o2"),
    event("5", "sign_in", "bob", session="s"),
    event("6", "review", "bob", product="jug", rating=5),
    event("7", "customer_forgotten", "ada"),
    event("8", "view", "cyd", product="jug", category="garden"),
    event("1", "purchase", "ada", product="mug", price=4, quantity=2, order_id="o1"),
]


@pytest.fixture
def admin() -> Iterator[RedisClient]:
    nodes = RedisClient(RedisSettings(nodes=servers.redis_address()))
    yield nodes
    nodes.close()


def settings_of_worker(admin: RedisClient, folder: Path) -> Settings:
    """A log in a file, and an empty store in Redis, for a user with the rights that the operations page names."""
    settings = servers.redis_settings()
    user = f"worker-{settings.namespace}"
    granted = (
        f"~{settings.namespace}:*",
        "+@all",
        "-@admin",
        "-@dangerous",
        "+function|load",
        "+function|list",
        "+info",
    )
    ask(admin, "", "ACL", "SETUSER", user, "reset", "on", ">a secret", *granted)
    signed_in = attrs.evolve(settings, username=user, password="a secret")  # noqa: S106
    return attrs.evolve(SMALL, log="sqlite", store="redis", database=str(folder / "log.db"), redis=signed_in)


@pytest.fixture(scope="module")
def in_memory() -> dict[str, object]:
    """The state of a store in memory after both parts of the history."""
    with opened(attrs.evolve(SMALL, log="memory", store="memory")) as pipeline:
        for part in (FIRST, SECOND):
            pipeline.publish(part)
            pipeline.process()
        return state(pipeline)


def refusal(pipeline: Pipeline) -> str:
    """Process; return the error, or an empty text."""
    try:
        pipeline.process()
    except Unavailable as error:
        return str(error)
    return ""


@pytest.mark.parametrize("command", COMMANDS)
def test_no_event_is_lost_when_a_right_is_taken_away(
    command: str, admin: RedisClient, tmp_path: Path, in_memory: dict[str, object]
) -> None:
    settings = settings_of_worker(admin, tmp_path)
    user = settings.redis.username
    named = f"Redis does not let the user {user} run {command}: grant it by ACL SETUSER {user} +{command.lower()}"
    with opened(settings) as pipeline:
        pipeline.publish(FIRST)
        pipeline.process()
        ask(admin, "", "ACL", "SETUSER", user, f"-{command.lower()}")
        pipeline.publish(SECOND)
        assert refusal(pipeline) in ({named} if command in CHECKED_BEFORE_WRITES else {named, ""})
    with opened(settings) as pipeline:
        assert refusal(pipeline) == named
    ask(admin, "", "ACL", "SETUSER", user, f"+{command.lower()}")
    with opened(settings) as pipeline:
        pipeline.process()
        assert differences(pipeline) == []
        assert state(pipeline) == in_memory


def test_several_rights_are_named_at_once(admin: RedisClient, tmp_path: Path) -> None:
    settings = settings_of_worker(admin, tmp_path)
    user = settings.redis.username
    ask(admin, "", "ACL", "SETUSER", user, "-mset", "-xadd")
    with opened(settings) as pipeline:
        pipeline.publish(FIRST)
        assert refusal(pipeline) == (
            f"Redis does not let the user {user} run XADD, MSET: grant it by ACL SETUSER {user} +xadd +mset"
        )


@pytest.mark.parametrize(
    "patterns", [("~{}:meta", "~{}:{{c*"), ("~another:*",), ("%R~{}:*",)], ids=["cells alone", "another", "read only"]
)
def test_keys_that_a_user_may_not_use_are_named_by_their_pattern(
    patterns: tuple[str, ...], admin: RedisClient, tmp_path: Path
) -> None:
    settings = settings_of_worker(admin, tmp_path)
    user, namespace = settings.redis.username, settings.redis.namespace
    ask(admin, "", "ACL", "SETUSER", user, "resetkeys", *(pattern.format(namespace) for pattern in patterns))
    with opened(settings) as pipeline:
        pipeline.publish(FIRST)
        rule = f"grant it by ACL SETUSER {user} ~{namespace}:*"
        assert refusal(pipeline) == f"Redis does not let the user {user} use the keys {namespace}:*: {rule}"
        ask(admin, "", "ACL", "SETUSER", user, f"~{namespace}:*")
        pipeline.process()
        assert differences(pipeline) == []


def test_the_error_of_a_reader_names_the_missing_right(admin: RedisClient, tmp_path: Path) -> None:
    settings = settings_of_worker(admin, tmp_path)
    user = settings.redis.username
    with opened(settings) as pipeline:
        pipeline.publish(FIRST)
        pipeline.process()
        ask(admin, "", "ACL", "SETUSER", user, "-get")
        with pytest.raises(Unavailable, match=rf"run GET: grant it by ACL SETUSER {user} \+get$"):
            pipeline.profile("ada")
