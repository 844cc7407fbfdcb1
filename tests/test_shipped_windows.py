"""The definitions that ship with the library: every value is computed by hand from the history beside it."""

from typing import Any

from realtime_pipeline import Pipeline, Settings
from realtime_pipeline.composition.settings import AnalyticsSettings
from tests.support.histories import event, opened
from tests.support.windows import at, rows, run

HOUR = -1_200
"""T is 2025-10-09T03:20:00Z: windows of 1, 5 and 10 minutes begin there; the hour has begun 1,200 s before."""


def counting(name: str, timezone: str = "UTC") -> Settings:
    analytics = AnalyticsSettings(shipped=(name,), timezone=timezone)
    return Settings(log="memory", store="memory", partitions=2, analytics=analytics)


def counted(name: str, *documents: dict[str, Any], **settings: str) -> list[tuple[int, Any, dict[str, Any]]]:
    with opened(counting(name, **settings)) as pipeline:
        run(pipeline, *documents)
        return rows(pipeline, name)


def did(event_id: str, kind: str, seconds: float, who: str, product: str = "mug", **more: Any) -> dict[str, Any]:
    """An action of a customer; of a visitor where `who` begins with a v."""
    context = more.pop("context", {})
    user, session = (None, who) if who.startswith("v") else (who, None)
    return event(event_id, kind, user, at(seconds), session, product=product, **more) | {"context": context}


def bought(event_id: str, seconds: float, who: str, order: str | None, price: float, **more: Any) -> dict[str, Any]:
    return did(event_id, "purchase", seconds, who, price=price, order_id=order, **more)


def refunded(event_id: str, seconds: float, who: str, order: str, price: float, **more: Any) -> dict[str, Any]:
    return did(event_id, "refund", seconds, who, price=price, order_id=order, **more)


def test_gmv_per_minute() -> None:
    assert counted(
        "gmv_per_minute",
        # order o1: 2 mugs at 12.50 and a jug at 30; o2: a mug; a pan that nobody gave an order id
        bought("1", 1, "ada", "o1", 12.5, product="mug", quantity=2),
        bought("2", 1, "ada", "o1", 30, product="jug"),
        bought("3", 59.999, "bob", "o2", 12.5, product="mug"),
        bought("4", 30, "cyd", None, 7, product="pan"),
        did("5", "view", 30, "ada", price=99),
        did("6", "cart", 30, "ada", price=99),
        # in the next minute ada gives the jug back, and bob one mug more than he bought in that minute
        refunded("7", 61, "ada", "o1", 30, product="jug"),
        bought("8", 62, "bob", "o3", 0.1, product="pin", quantity=3),
        bought("8", 62, "bob", "o3", 0.1, product="pin", quantity=3),  # the same event once more
    ) == [
        # o1 and o2; 2 + 1 + 1 + 1 units; 25 + 30 + 12.5 + 7 = 74.5
        (0, (), {"orders": 2, "units": 5, "gross": 74.5, "net": 74.5}),
        # o3; 3 units; 3 × 0.1 = 0.3; 0.3 − 30 = −29.7
        (60, (), {"orders": 1, "units": 3, "gross": 0.3, "net": -29.7}),
    ]


def test_events_by_type_and_device() -> None:
    phone, desktop = {"device": "phone"}, {"device": "desktop"}
    found = counted(
        "events_by_type_and_device",
        did("1", "view", 10, "ada", context=phone),
        did("2", "view", 20, "ada", context=phone),
        did("3", "view", 30, "v1", context=phone),
        did("4", "view", 40, "bob", context=desktop),
        did("5", "cart", 50, "ada", context=phone),
        did("6", "view", 70, "ada", context=phone),  # in the next pane of a minute
        did("7", "view", 80, "cyd"),  # of no device
    )
    view, cart = "product_viewed", "product_carted"
    at_zero = [(key, values) for start, key, values in found if start == 0]
    assert at_zero == [
        ((cart, "phone"), {"events": 1, "users": 1}),
        ((view, None), {"events": 1, "users": 1}),
        ((view, "desktop"), {"events": 1, "users": 1}),
        # events 1, 2, 3 and 6, of ada and of a visitor
        ((view, "phone"), {"events": 4, "users": 2}),
    ]
    # five minutes that slide by one: from the one that ends with the first minute to the one that begins with the last
    assert sorted({start for start, _, _ in found}) == [-240, -180, -120, -60, 0, 60]
    of_phone = {start: values["events"] for start, key, values in found if key == (view, "phone")}
    assert of_phone == {-240: 3, -180: 4, -120: 4, -60: 4, 0: 4, 60: 1}


ACTIVITY = (
    did("1", "view", 0, "ada"),
    did("2", "purchase", 30, "ada", price=1),
    did("3", "view", 59, "v1"),
    did("4", "cart", 60, "bob"),
    did("5", "refund", 61, "cyd", price=1),  # booked by the shop
    did("6", "view", 2_400, "bob"),  # 04:00, another hour
)
BEFORE = (
    did("7", "view", -19_800, "v2"),  # 2025-10-08T21:50Z, which is 23:50 in Berlin
    did("8", "view", -18_600, "v3"),  # 22:10Z, and 00:10 of the 9th in Berlin
    did("9", "view", -18_600, "ada"),
)


def test_active_users_of_a_minute() -> None:
    assert counted("active_users_minute", *ACTIVITY[:5]) == [
        (0, (), {"users": 2, "customers": 1}),  # ada and the visitor's session; ada
        (60, (), {"users": 1, "customers": 1}),  # bob; cyd's refund is no activity
    ]


def test_active_users_of_an_hour() -> None:
    assert counted("active_users_hour", *ACTIVITY[:6]) == [
        (HOUR, (), {"users": 3, "customers": 2}),  # ada, bob and the visitor
        (HOUR + 3_600, (), {"users": 1, "customers": 1}),
    ]


def test_active_users_of_a_day_in_the_shops_time_zone() -> None:
    day = 86_400
    utc, berlin = -(3 * 3_600 + 1_200), -(5 * 3_600 + 1_200)  # midnight before 03:20 UTC, which is 05:20 in Berlin
    assert counted("active_users_day", *BEFORE, *ACTIVITY) == [
        (utc - day, (), {"users": 3, "customers": 1}),  # v2, v3, ada
        (utc, (), {"users": 3, "customers": 2}),  # ada, v1, bob
    ]
    assert counted("active_users_day", *BEFORE, *ACTIVITY, timezone="Europe/Berlin") == [
        (berlin - day, (), {"users": 1, "customers": 0}),  # v2
        (berlin, (), {"users": 4, "customers": 2}),  # v3, ada, v1, bob
    ]


def test_a_visitor_who_signs_in_is_a_user_before_and_another_after() -> None:
    with opened(counting("active_users_minute")) as pipeline:
        run(pipeline, did("1", "view", 1, "v1"))
        run(pipeline, event("2", "login", "ada", at_ms=at(2), session="v1"))
        run(pipeline, did("3", "view", 3, "v1"), did("4", "view", 4, "ada"))
        process_all(pipeline)
        assert rows(pipeline, "active_users_minute") == [(0, (), {"users": 2, "customers": 1})]


def process_all(pipeline: Pipeline) -> None:
    for _ in range(3):  # what is forwarded is processed in rounds of its own
        pipeline.process()


def test_the_funnel() -> None:
    assert counted(
        "funnel",
        did("1", "view", 0, "ada"),
        did("2", "view", 10, "ada", "jug"),
        did("3", "view", 20, "v1"),
        did("4", "cart", 30, "ada"),
        did("5", "cart", 40, "v1"),
        did("6", "remove_from_cart", 50, "v1"),  # no step
        did("7", "view", 60, "bob"),
        did("8", "purchase", 599, "ada", price=2, order_id="o1"),
        did("9", "purchase", 599, "ada", "jug", price=2, order_id="o1"),
        did("10", "purchase", 600, "v1", price=2),  # in the next ten minutes
        did("11", "refund", 601, "ada", price=2, order_id="o1"),  # no step
    ) == [
        # 4 views of ada, the visitor and bob; 2 carts of ada and the visitor; 2 order lines of ada
        (
            0,
            (),
            {"views": 4, "view_users": 3, "carts": 2, "cart_users": 2, "purchases": 2, "purchase_users": 1},
        ),
        (600, (), {"views": 0, "view_users": 0, "carts": 0, "cart_users": 0, "purchases": 1, "purchase_users": 1}),
    ]


def test_revenue_by_category_country_and_hour() -> None:
    german, french = {"country": "de"}, {"country": "FR"}
    kitchen: dict[str, Any] = {"category": "kitchen"}
    assert counted(
        "revenue_by_category_country_hour",
        bought("1", 1, "ada", "o1", 12.5, product="mug", quantity=2, context=german, **kitchen),
        bought("2", 1, "ada", "o1", 30, product="jug", context=german, **kitchen),
        bought("3", 1, "ada", "o1", 5, product="rake", category="garden", context=german),  # the same order
        bought("4", 2, "v1", "o2", 12.5, product="mug", context=german, **kitchen),  # a guest
        bought("5", 3, "bob", "o3", 12.5, product="mug", context=french, **kitchen),
        refunded("6", 4, "cyd", "o0", 10, product="mug", quantity=2, context=german, **kitchen),
        refunded("7", 2_400, "bob", "o3", 12.5, product="mug", context=french, **kitchen),  # 04:00
        did("8", "view", 5, "eve", context=french, **kitchen),
    ) == [
        (HOUR, ("garden", "DE"), {"orders": 1, "units": 1, "gross": 5, "net": 5, "customers": 1}),
        # o1 and o2; 2 + 1 + 1 units; 25 + 30 + 12.5 = 67.5; less 2 × 10; ada, and the guest has no user id
        (HOUR, ("kitchen", "DE"), {"orders": 2, "units": 4, "gross": 67.5, "net": 47.5, "customers": 1}),
        (HOUR, ("kitchen", "FR"), {"orders": 1, "units": 1, "gross": 12.5, "net": 12.5, "customers": 1}),
        (HOUR + 3_600, ("kitchen", "FR"), {"orders": 0, "units": 0, "gross": 0, "net": -12.5, "customers": 0}),
    ]


def test_trending_products_of_ten_minutes() -> None:
    found = counted(
        "trending_products_10min",
        *(did(f"mug {n}", "view", n, "ada") for n in range(3)),
        *(did(f"jug {n}", "view", n, "v1", "jug") for n in range(2)),
        did("late jug", "view", 61, "bob", "jug"),
        did("pan", "view", 61, "bob", "pan"),
        did("mug", "purchase", 70, "ada", price=1, quantity=9),  # a line, whatever its quantity
        did("cup 1", "purchase", 70, "ada", "cup", price=1),
        did("cup 2", "purchase", 71, "bob", "cup", price=1),
        did("cart", "cart", 70, "ada", "bag"),
        did("after", "view", 600, "ada", "pan"),
    )
    by_start = {start: values for start, _, values in found}
    assert by_start[0] == {
        "viewed": [("jug", 3), ("mug", 3), ("pan", 1)],  # equal ones in the order of their names
        "purchased": [("cup", 2), ("mug", 1)],
    }
    assert by_start[60] == {"viewed": [("pan", 2), ("jug", 1)], "purchased": [("cup", 2), ("mug", 1)]}
    assert by_start[600] == {"viewed": [("pan", 1)], "purchased": None}
    assert sorted(by_start) == list(range(-540, 601, 60))


def test_the_twenty_products_with_the_most_views_are_listed() -> None:
    views = [did(f"{n}-{m}", "view", 1, "ada", f"p{n:02}") for n in range(30) for m in range(n)]
    by_start = {start: values for start, _, values in counted("trending_products_10min", *views)}
    assert by_start[0]["viewed"] == [(f"p{n:02}", n) for n in range(29, 9, -1)]
