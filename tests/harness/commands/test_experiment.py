"""`harness experiment`: the figures of variants, from the log alone."""

import json
from collections.abc import Mapping
from pathlib import Path
from random import Random

import attrs
import pytest

from harness.commands.experiment import AttributionWindows, compare_variants, rows_of
from harness.commands.main import main
from realtime_pipeline import Pipeline, Settings, load_settings
from realtime_pipeline.application.errors import InvalidSettings
from realtime_pipeline.domain.recommendation.experiments import Experiment, Variant
from realtime_pipeline.domain.shop.events import CustomerId, Event, EventKind, ProductId
from tests.support.histories import NOW_MS, append, event

MINUTE = 60_000
WINDOWS = AttributionWindows(30 * MINUTE, 24 * 60 * MINUTE)
SETTINGS = """\
database = "{database}"

[recommendations]
categories = 1

[experiment]
name = "mixing"

[experiment.variants.plain]
share = 3

[experiment.variants.mixed.recommendations.rules]
diversity = 0.5
"""


def shown(
    customer: str, at: int, variant: str, *products: str, event_id: str | None = None, name: str = "mixing"
) -> Event:
    return Event(
        event_id or f"{customer}-{at}-shown",
        EventKind.RECOMMENDATIONS_SHOWN,
        CustomerId(customer),
        at * MINUTE,
        properties={"experiment": name, "variant": variant},
        shown=tuple(map(ProductId, products)),
    )


def did(customer: str, at: int, kind: EventKind, product: str) -> Event:
    return Event(f"{customer}-{at}-{kind}", kind, CustomerId(customer), at * MINUTE, product_id=ProductId(product))


def test_actions_are_attributed_to_the_newest_list_that_had_the_product() -> None:
    events = [
        shown("ann", 0, "plain", "mug", "jug"),
        shown("ann", 10, "plain", "mug"),
        did("ann", 12, EventKind.PRODUCT_VIEWED, "mug"),  # the second list's
        did("ann", 13, EventKind.PRODUCT_CARTED, "mug"),  # once is enough
        did("ann", 20, EventKind.PRODUCT_VIEWED, "pan"),  # was not shown
        did("ann", 31, EventKind.PRODUCT_VIEWED, "jug"),  # too late for a click
        did("ann", 600, EventKind.PRODUCT_PURCHASED, "jug"),  # the first list's
        did("bob", 0, EventKind.PRODUCT_VIEWED, "mug"),  # before it was shown
        shown("bob", 1, "mixed", "mug"),
        shown("bob", 1, "mixed", "mug"),  # delivered twice
        shown("bob", 2, "other", "mug", name="another experiment"),
    ]
    assert rows_of(events, "mixing", WINDOWS) == ({"plain": [(2, 1, 1)], "mixed": [(1, 0, 0)]}, 0)


def test_what_a_visitor_was_shown_after_sign_in_counts_once_as_the_customers() -> None:
    visitor, ann = CustomerId("anonymous:s1"), CustomerId("ann")
    login = Event("l", EventKind.CUSTOMER_SIGNED_IN, visitor, 0, "s1", identified_as=ann)
    later = shown(visitor, 5, "plain", "mug")
    events = [login, later, later._replace(customer_id=ann), did("ann", 6, EventKind.PRODUCT_VIEWED, "mug")]
    assert rows_of(events, "mixing", WINDOWS) == ({"plain": [(1, 1, 0)]}, 0)


def test_what_a_visitor_was_shown_before_sign_in_is_the_customers() -> None:
    visitor, ann = CustomerId("anonymous:s1"), CustomerId("ann")
    login = Event("l", EventKind.CUSTOMER_SIGNED_IN, visitor, 2 * MINUTE, "s1", identified_as=ann)
    events = [shown(visitor, 0, "plain", "mug"), login, did("ann", 6, EventKind.PRODUCT_PURCHASED, "mug")]
    assert rows_of(events, "mixing", WINDOWS) == ({"plain": [(1, 0, 1)]}, 0)
    assert rows_of([*events, shown("ann", 7, "mixed", "jug")], "mixing", WINDOWS) == ({}, 1)


def test_exposures_of_a_visitor_over_the_limit_stay_the_customers() -> None:
    visitor, ann = CustomerId("anonymous:s1"), CustomerId("ann")
    login = Event("l", EventKind.CUSTOMER_SIGNED_IN, visitor, 2 * MINUTE, "s1", identified_as=ann)
    too_many = Event("f", EventKind.CUSTOMER_FORGOTTEN, visitor, 9 * MINUTE)
    events = [shown(visitor, 0, "plain", "mug"), login, did("ann", 6, EventKind.PRODUCT_PURCHASED, "mug"), too_many]
    assert rows_of(events, "mixing", WINDOWS) == ({"plain": [(1, 0, 1)]}, 0)
    forgetting = Event("g", EventKind.CUSTOMER_FORGOTTEN, ann, 9 * MINUTE)
    assert rows_of([*events[:-1], forgetting, too_many], "mixing", WINDOWS) == ({}, 0)


def test_late_events_of_a_forgotten_customer_do_not_count() -> None:
    forgetting = Event("f", EventKind.CUSTOMER_FORGOTTEN, CustomerId("ann"), 10 * MINUTE)
    late = [shown("ann", 1, "plain", "mug"), did("ann", 2, EventKind.PRODUCT_VIEWED, "mug")]
    assert rows_of([forgetting, *late], "mixing", WINDOWS) == ({}, 0)
    later = [shown("ann", 11, "plain", "mug")]
    assert rows_of([forgetting, *late, *later], "mixing", WINDOWS) == ({"plain": [(1, 0, 0)]}, 0)


def test_customers_with_two_variants_and_forgotten_customers_are_left_out() -> None:
    events = [shown("ann", 0, "plain", "mug"), shown("ann", 1, "mixed", "mug"), shown("bob", 0, "plain", "mug")]
    forgetting = Event("f", EventKind.CUSTOMER_FORGOTTEN, CustomerId("bob"), 5 * MINUTE)
    assert rows_of([*events, forgetting], "mixing", WINDOWS) == ({}, 1)


def test_a_true_difference_is_found_and_chance_is_not() -> None:
    rng = Random(3)  # noqa: S311

    def customers(count: int, rate: float) -> list[tuple[int, int, int]]:
        lists = [rng.randint(1, 5) for _ in range(count)]
        return [(n, sum(rng.random() < rate for _ in range(n)), 0) for n in lists]

    rows = {"plain": customers(2_000, 0.10), "better": customers(2_000, 0.15), "same": customers(2_000, 0.10)}
    found = compare_variants(rows, "plain", {}, rng)
    assert found["better"].differences["click-through"].verdict == "better"
    assert found["same"].differences["click-through"].verdict == "no difference shown"
    assert found["plain"].differences == {}
    assert 0.09 < found["plain"].rates["click-through"].low < 0.10 < found["plain"].rates["click-through"].high < 0.11


def test_intervals_contain_the_true_rate() -> None:
    """Of many experiments, the true rate lies within the interval in about 95 of 100."""
    rng, held = Random(11), 0  # noqa: S311
    for _ in range(60):
        rows = [(1, int(rng.random() < 0.3), 0) for _ in range(300)]
        estimate = compare_variants({"plain": rows}, "plain", {}, rng)["plain"].rates["click-through"]
        held += estimate.low <= 0.3 <= estimate.high
    assert held >= 51


def test_few_customers_give_no_verdict() -> None:
    rng = Random(5)  # noqa: S311
    for customers in (1, 10):
        for _ in range(6):
            rows = {
                name: [(1, int(rng.random() < 0.1), 0) for _ in range(number)]
                for name, number in (("plain", 1_000), ("mixed", customers))
            }
            found = compare_variants(rows, "plain", {"plain": 1_000, "mixed": customers}, rng)["mixed"]
            assert {difference.verdict for difference in found.differences.values()} == {"too few customers to say"}


def test_a_share_that_is_no_chance_is_a_mismatch() -> None:
    rows, rng = {"plain": [(1, 0, 0)] * 1_000, "mixed": [(1, 0, 0)] * 1_200}, Random(1)  # noqa: S311
    assert all(
        figures.has_sample_ratio_mismatch
        for figures in compare_variants(rows, "plain", {"plain": 1, "mixed": 1}, rng).values()
    )
    assert not any(
        figures.has_sample_ratio_mismatch
        for figures in compare_variants(rows, "plain", {"plain": 5, "mixed": 6}, rng).values()
    )


class TestWithAPipeline:
    @pytest.fixture
    def settings_file(self, tmp_path: Path) -> Path:
        file = tmp_path / "settings.toml"
        file.write_text(SETTINGS.format(database=tmp_path / "shop.db"), "utf-8")
        return file

    def test_variants_inherit_the_common_settings(self, settings_file: Path) -> None:
        variants = load_settings(settings_file, {}).experiment.variants
        assert {name: variant.recommendations.categories for name, variant in variants.items()} == {
            "plain": 1,
            "mixed": 1,
        }
        assert {name: variant.recommendations.rules.diversity for name, variant in variants.items()} == {
            "plain": 0.0,
            "mixed": 0.5,
        }

    def test_from_lists_to_figures(
        self, settings_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        given: dict[str, str] = {}
        with Pipeline(load_settings(settings_file, {})) as pipeline:
            looks = [event(f"e{n}", user=f"u{n}", product=f"p{n % 7}", session=f"s{n % 9}") for n in range(160)]
            pipeline.publish(looks)
            pipeline.process()
            for number in range(160):
                found = pipeline.recommend(f"u{number}", 3)
                given[f"u{number}"] = found.variant
                assert (found.experiment, len(found)) == ("mixing", 3)
                pipeline.record_exposure(f"u{number}", found)
                if found.variant == "mixed":
                    pipeline.publish(
                        [event(user=f"u{number}", at_ms=_now(pipeline), product=found[0].product.product_id)]
                    )
            assert pipeline.process()
        assert 90 < list(given.values()).count("plain") < 130
        file = settings_file.parent / "figures.json"
        assert main(["experiment", "mixing", "--settings", str(settings_file), "--json", str(file)]) == 0
        figures = json.loads(file.read_text("utf-8"))
        assert figures["variants"]["mixed"]["rates"]["click-through"]["rate"] == 1.0
        assert figures["variants"]["plain"]["rates"]["click-through"]["rate"] == 0.0
        assert figures["variants"]["plain"]["customers"] == list(given.values()).count("plain")
        assert "against mixed: worse" in capsys.readouterr().out

    def test_an_experiment_without_exposures(self, settings_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with Pipeline(load_settings(settings_file, {})) as pipeline:
            pipeline.publish([event("e1", product="mug")])
        assert main(["experiment", "colours", "--settings", str(settings_file)]) == 1
        assert "no list of experiment colours was shown" in capsys.readouterr().err


def _now(pipeline: Pipeline) -> int:
    return pipeline.container.clock().now_ms()


def of_two(**shares: float) -> Experiment:
    return Experiment("mixing", {name: Variant(share) for name, share in shares.items()})


def test_customers_get_variants_by_their_shares_and_keep_them() -> None:
    experiment = of_two(plain=3, mixed=1)
    given = {f"u{n}": experiment.variant_of(CustomerId(f"u{n}")) for n in range(4_000)}
    assert abs(list(given.values()).count("mixed") - 1_000) < 100
    turned = Experiment("mixing", dict(reversed(list(experiment.variants.items()))))
    assert {customer: turned.variant_of(CustomerId(customer)) for customer in given} == given


def test_assignments_of_two_experiments_are_independent() -> None:
    first, second = of_two(a=1, b=1), attrs.evolve(of_two(a=1, b=1), name="colours")
    both = [(first.variant_of(CustomerId(f"u{n}")), second.variant_of(CustomerId(f"u{n}"))) for n in range(4_000)]
    assert all(abs(both.count(pair) - 1_000) < 120 for pair in (("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"name": "mixing"}, "needs a name and variants"),
        ({"name": "mixing", "variants": {"one": {}}}, "needs two variants"),
        ({"name": "mixing", "variants": {"one": {"share": 0}, "two": {}}}, "share must be more than 0"),
        ({"name": "mixing", "variants": {"": {}, "two": {}}}, "every variant needs a name"),
        (
            {"name": "mixing", "variants": {"one": {"rules": {}}, "two": {}}},
            "no experiment.variants.one.rules",
        ),
    ],
)
def test_invalid_experiments(document: Mapping[str, object], message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        load_settings(None, {}, experiment=document)


def test_a_variant_may_have_products_of_its_own_in_place_of_the_shops() -> None:
    common = {"rules": {"pinned": {"mug": 1}, "weights": {"mug": 2.0}, "diversity": 0.5}}
    other = {"rules": {"pinned": {"tea": 1}, "weights": {}}}
    document = {"name": "mixing", "variants": {"one": {}, "two": {"recommendations": other}}}
    variants = load_settings(None, {}, recommendations=common, experiment=document).experiment.variants
    rules = {name: variant.recommendations.rules for name, variant in variants.items()}
    assert (rules["one"].pinned, rules["one"].weights, rules["one"].diversity) == ({"mug": 1}, {"mug": 2.0}, 0.5)
    assert (rules["two"].pinned, rules["two"].weights, rules["two"].diversity) == ({"tea": 1}, {}, 0.5)


def test_a_visitor_and_their_customer_have_the_same_variant() -> None:
    with Pipeline(Settings(log="memory", store="memory", experiment=of_two(plain=1, mixed=1))) as pipeline:
        for number in range(20):
            session = f"s{number}"
            append(pipeline, [event(f"e{number}", user=None, session=session, product="mug", at_ms=NOW_MS)])
            append(pipeline, [event(f"l{number}", "login", user=f"u{number}", session=session, at_ms=NOW_MS)])
        pipeline.process()
        by_names = [
            (pipeline.recommend(f"anonymous:s{n}").variant, pipeline.recommend(f"u{n}").variant) for n in range(20)
        ]
        assert all(visitor == customer for visitor, customer in by_names)
        assert {visitor for visitor, _ in by_names} == {"plain", "mixed"}


def test_without_an_experiment_lists_are_of_no_variant() -> None:
    with Pipeline(Settings(log="memory", store="memory")) as pipeline:
        append(pipeline, [event("e1", product="mug", at_ms=NOW_MS)])
        pipeline.process()
        found = pipeline.recommend("bob")
        assert (found.experiment, found.variant) == ("", "")


def test_a_missing_log_is_not_created(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "shop.db"
    assert main(["experiment", "mixing", "--database", str(file)]) == 1
    assert capsys.readouterr().err.startswith(f"harness: there is no database {file}")
    assert not file.exists()
