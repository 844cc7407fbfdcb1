"""What counts is decided by the events alone: not by lag, batches, retries or the order in which refunds arrive."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from realtime_pipeline import Settings
from realtime_pipeline.application.processing.settings import WorkerSettings
from realtime_pipeline.composition.settings import QualitySettings
from realtime_pipeline.domain.profile.exclusion import Exclusion
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.recommendation.trending import TrendingSettings
from realtime_pipeline.domain.streams.settings import FoldSettings
from tests.laws.strategies import CATEGORIES, COUNTRIES, EXCLUSIONS, PRODUCTS, SESSIONS, USER_AGENTS, USERS
from tests.support.histories import KINDS, NOW_MS, Kind, append, differences, embedded, event, opened

Document = dict[str, Any]
SETTINGS = Settings(partitions=2)
NOBODY = Exclusion()
DEFAULTS = ProfileSettings()
"""Limits that no history here reaches: what leaves a bounded list depends on arrival."""


@st.composite
def documents(draw: st.DrawFn, number: int) -> Document:
    """An event of a user, of a session, or of both; every other one is a sign-in."""
    session = draw(st.sampled_from((*SESSIONS, None)))
    user = draw(st.sampled_from((*USERS, None))) if session is not None else draw(st.sampled_from(USERS))
    at_ms = NOW_MS - 60_000 + draw(st.integers(0, 40)) * 500
    kind = draw(
        st.sampled_from(["login"] * 3 + ["view", "cart", "purchase", "purchase", "refund", "review", "exposure"])
    )
    if kind == "login":
        return event(f"e{number}", "login", user or USERS[0], at_ms, session or SESSIONS[0])
    properties: Document = {"product": draw(st.sampled_from(PRODUCTS)), "category": draw(st.sampled_from(CATEGORIES))}
    if kind in {"purchase", "refund"}:
        properties |= {"price": draw(st.sampled_from([1, 2.5])), "quantity": draw(st.integers(1, 3))}
        properties["order_id"] = draw(st.sampled_from(["o1", "o2", None]))
    if kind == "review":
        # Of one product each: a second opinion replaces the first, but not a visitor's, whose reviews stay their own.
        properties |= {"rating": draw(st.integers(1, 5)), "product": f"reviewed-{number}"}
    if kind == "exposure":
        properties["products"] = draw(st.lists(st.sampled_from(PRODUCTS), min_size=1, max_size=2))
    document = event(f"e{number}", kind, user, at_ms, session, **properties)
    country = draw(st.sampled_from((*COUNTRIES, None)))
    agent = draw(st.sampled_from((*USER_AGENTS, None)))
    return document | {"context": {"country": country, "user_agent": agent}}


@st.composite
def retried(draw: st.DrawFn) -> list[Document]:
    """A log in which clients send some events again, later and maybe with the user id that they know by then."""
    log = [draw(documents(number)) for number in range(draw(st.integers(1, 14)))]
    for document in list(log):
        if draw(st.booleans()):
            again = dict(document)
            if document["event_type"] != "login" and "user_id" not in document and draw(st.booleans()):
                again["user_id"] = draw(st.sampled_from(USERS[:2]))
            log.insert(draw(st.integers(log.index(document) + 1, len(log))), again)
    return log


def what_counts(
    kind: Kind,
    pieces: Sequence[Sequence[Document]],
    records_max: int = 5_000,
    profile: ProfileSettings = DEFAULTS,
    exclude: Exclusion = NOBODY,
) -> dict[str, Any]:
    """All numbers that a shop reads of its customers and products, after each piece was published and processed."""
    worker, fold = WorkerSettings(round_records_max=records_max, idle_wait_ms=1), FoldSettings(profile=profile)
    settings = attrs.evolve(SETTINGS, worker=worker, fold=fold, quality=QualitySettings(exclude))
    with tempfile.TemporaryDirectory() as folder, opened(embedded(kind, Path(folder), settings)) as pipeline:
        for piece in pieces:
            append(pipeline, piece)
            pipeline.process()
        assert differences(pipeline) == []
        products = pipeline.container.product_queries()
        return {
            "customers": {
                entry.customer_id: (
                    entry.visits.counts,
                    (entry.purchases.spend, entry.purchases.units, entry.purchases.orders_placed),
                    entry.purchases.by_product,
                    {order_id: attrs.astuple(order) for order_id, order in entry.purchases.orders.items()},
                    entry.exposures.shown,
                )
                for entry in pipeline.container.customer_queries().scan()
            },
            "products": {
                product_id: (state.interactions, state.ratings, state.rating_sum)
                for product_id, state in products.scan()
            },
            "trending": products.trending(TrendingSettings(), None, 100),
            "trending in Germany": products.trending(TrendingSettings(), None, 100, "DE"),
            "excluded": {
                entry.customer_id: entry.visits.excluded for entry in pipeline.container.customer_queries().scan()
            },
            "dead letters": sorted(entry.record.value for entry in pipeline.dead_letters(100)),
        }


@KINDS
@given(log=retried(), records_max=st.integers(1, 9))
def test_neither_lag_nor_batches_decide_what_counts(kind: Kind, log: list[Document], records_max: int) -> None:
    at_once = what_counts(kind, [[entry] for entry in log])
    assert at_once["dead letters"] == []
    assert what_counts(kind, [log], records_max) == at_once


@KINDS
@given(log=retried(), records_max=st.integers(1, 9), exclude=EXCLUSIONS)
def test_neither_lag_nor_batches_decide_what_is_excluded(
    kind: Kind, log: list[Document], records_max: int, exclude: Exclusion
) -> None:
    """By user agents and ids. The rate is that of a profile: a sign-in in between makes one of two."""
    exclude = attrs.evolve(exclude, events_per_minute_max=0)
    at_once = what_counts(kind, [[entry] for entry in log], exclude=exclude)
    assert what_counts(kind, [log], records_max, exclude=exclude) == at_once
    assert what_counts(kind, [[*log, *log]], records_max, exclude=exclude) == at_once  # a backlog, each event twice


@KINDS
@given(
    log=st.integers(1, 20).flatmap(lambda count: st.tuples(*map(documents, range(count)))),
    records_max=st.integers(1, 9),
)
def test_lag_makes_nothing_too_old(kind: Kind, log: tuple[Document, ...], records_max: int) -> None:
    """With a memory so short that late events of customers are too old: which are, the customer's own log decides."""
    short = ProfileSettings(dedup_events=2)
    at_once = what_counts(kind, [[entry] for entry in log], profile=short)
    assert what_counts(kind, [log], records_max, short) == at_once


@KINDS
@given(log=retried(), again_from=st.integers(0, 30))
def test_publishing_again_counts_nothing_twice(kind: Kind, log: list[Document], again_from: int) -> None:
    once = what_counts(kind, [log])
    again = log[again_from % len(log) :]
    assert what_counts(kind, [log, again]) == once
    assert what_counts(kind, [[*log, *again]]) == once  # a backlog of both


@given(log=retried())
def test_an_event_of_one_person_counts_once_whoever_sends_it(log: list[Document]) -> None:
    """One session that signs in as one user: every event is theirs, by whatever ids it came."""
    own = [{**entry, "session_id": SESSIONS[0]} | ({"user_id": "ada"} if "user_id" in entry else {}) for entry in log]
    sign_in = event("sign-in", "login", "ada", NOW_MS - 30_000, SESSIONS[0])
    found = what_counts("memory", [[*own, sign_in]])
    distinct = {entry["event_id"]: entry for entry in own}.values()
    bought = [entry["properties"] for entry in distinct if entry["event_type"] == "purchase"]
    refunded = [entry["properties"] for entry in distinct if entry["event_type"] == "refund"]
    counts, (spend, units, _), purchases, _, _ = found["customers"]["ada"]
    viewed = sum(entry["event_type"] == "view" for entry in distinct)
    assert counts.get("product_viewed", 0) == viewed
    assert units == sum(entry["quantity"] for entry in bought) - sum(entry["quantity"] for entry in refunded)
    worth = [sum(entry["quantity"] * round(entry["price"] * 10_000) for entry in lines) for lines in (bought, refunded)]
    assert spend == worth[0] - worth[1]
    looks = sum(entry["event_type"] in {"view", "cart", "purchase"} for entry in distinct)
    assert sum(interactions for interactions, _, _ in found["products"].values()) == looks
    held = {id_: units for id_, (units, _) in purchases.items()}
    for product_id in PRODUCTS:
        more, less = (
            sum(line["quantity"] for line in lines if line["product_id"] == product_id) for lines in (bought, refunded)
        )
        assert held.get(product_id, 0) == more - less


@given(data=st.data(), lines=st.lists(st.tuples(st.booleans(), st.integers(1, 4), st.integers(0, 2)), max_size=8))
def test_purchases_and_refunds_come_to_the_same_in_any_order(
    data: st.DataObject, lines: list[tuple[bool, int, int]]
) -> None:
    traded = [
        event(
            f"t{number}",
            "refund" if is_refund else "purchase",
            "ada",
            NOW_MS - 60_000 + number * 1_000,
            product=PRODUCTS[which],
            quantity=quantity,
            price=2.5,
            order_id=f"o{which}",
        )
        for number, (is_refund, quantity, which) in enumerate(lines)
    ]
    look = event("look", user="ada", product="mug")
    in_order = what_counts("memory", [[look, *traded]])
    assert what_counts("memory", [[look, *data.draw(st.permutations(traded))]]) == in_order
    _, (spend, units, orders), purchases, _, _ = in_order["customers"]["ada"]
    kept = [sum(-quantity if back else quantity for back, quantity, of in lines if of == which) for which in range(3)]
    assert (spend, units) == (sum(kept) * 25_000, sum(kept))
    assert orders == len({which for is_refund, _, which in lines if not is_refund})
    held = {PRODUCTS[which]: left for which, left in enumerate(kept) if left > 0}
    assert {id_: units for id_, (units, _) in purchases.items() if units > 0} == held
