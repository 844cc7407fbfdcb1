"""Why a list is empty: every cause is told from the others."""

from pathlib import Path

import pytest

from realtime_pipeline import ListRules, Pipeline, PipelineError, Settings
from realtime_pipeline.domain.recommendation.blending import Blend
from realtime_pipeline.domain.recommendation.experiments import Experiment, Variant
from realtime_pipeline.domain.recommendation.settings import RecommendationSettings
from realtime_pipeline.domain.shop.events import ProductId
from tests.support.histories import HOUR_MS, KINDS, NOW_MS, Kind, SetClock, append, embedded, event, opened

LONG_AGO_MS = NOW_MS - 100 * HOUR_MS
QUIET = (
    "nothing is trending: in the 72 hours up to the newest event, the views, carts and purchases of no product have "
    "a score above 0 by [recommendations.trending]"
)


def recommending(kind: Kind, folder: Path, recommendations: RecommendationSettings | None = None) -> Pipeline:
    settings = Settings(partitions=2, recommendations=recommendations or RecommendationSettings())
    return opened(embedded(kind, folder, settings))


def processed(pipeline: Pipeline, *events: dict[str, object]) -> Pipeline:
    append(pipeline, events)
    pipeline.process()
    return pipeline


def reviews_of_today() -> list[dict[str, object]]:
    """Two: the shop's time is that of the newest event but one."""
    return [event(f"r{number}", "review", at_ms=NOW_MS - number, product="mug", rating=5) for number in range(2)]


@KINDS
def test_nothing_was_published(kind: Kind, tmp_path: Path) -> None:
    with opened(embedded(kind, tmp_path)) as pipeline:
        expected = "the log has no events; publish some, and let a worker process them"
        assert (len(pipeline.recommend("zoe")), pipeline.explain_empty("zoe")) == (0, expected)
        assert pipeline.explain_empty(product_id="mug") == expected
        assert pipeline.explain_empty() == expected
        assert pipeline.container.explain_empty_list().of_ratings() == expected


@KINDS
def test_events_wait_to_be_processed(kind: Kind, tmp_path: Path) -> None:
    rest = "to be processed; run a worker (realtime-pipeline worker), or wait until it has caught up"
    clock = SetClock()
    with opened(embedded(kind, tmp_path), clock) as pipeline:
        append(pipeline, reviews_of_today())
        assert pipeline.explain_empty("zoe") == f"2 records wait {rest}"
        pipeline.process()
        append(pipeline, [event("v", product="mug")])
        assert (len(pipeline.recommend("zoe")), pipeline.explain_empty("zoe")) == (0, f"1 record waits {rest}")
        pipeline.process()
        assert (len(pipeline.recommend("zoe")), pipeline.explain_empty()) == (
            0,
            "what is trending was read before there was any; ask again (the setting cache.trending_ms says when)",
        )
        clock.at_ms += pipeline.container.settings().cache.trending_ms
        assert [entry.product.product_id for entry in pipeline.recommend("zoe")] == ["mug"]


def test_no_record_counted(tmp_path: Path) -> None:
    with opened(embedded("sqlite", tmp_path)) as pipeline:
        append(pipeline, [b"garbage", event("1", "song_played"), event("2", "song_played")])
        pipeline.process()
        assert pipeline.explain_empty() == (
            "3 records processed, and none counts: 1 dead letter (realtime-pipeline dead-letters says why), "
            "2 of types that [event_types] does not map"
        )


@KINDS
def test_no_event_names_a_product(kind: Kind, tmp_path: Path) -> None:
    with processed(opened(embedded(kind, tmp_path)), *reviews_of_today()) as pipeline:
        assert pipeline.recommend("zoe").notes == ()
        no_products = "no counted event views, carts or buys a product"
        assert pipeline.explain_empty("zoe") == f"nothing is known of customer zoe, and {no_products}"
        assert pipeline.explain_empty("ada") == f"nothing that customer ada did leads to others, and {no_products}"


@KINDS
def test_what_was_done_is_too_long_ago_to_trend(kind: Kind, tmp_path: Path) -> None:
    looked = event("v", product="mug", at_ms=LONG_AGO_MS)
    with processed(recommending(kind, tmp_path), looked, *reviews_of_today()) as pipeline:
        assert (len(pipeline.recommend("zoe")), len(pipeline.trending()), len(pipeline.similar("jug"))) == (0, 0, 0)
        assert pipeline.explain_empty("zoe") == f"nothing is known of customer zoe, and {QUIET}"
        assert pipeline.explain_empty("ada") == f"nothing that customer ada did leads to others, and {QUIET}"
        assert pipeline.explain_empty(product_id="jug") == f"nothing is known of product jug, and {QUIET}"
        assert pipeline.explain_empty(product_id="mug") == f"no visit leads from product mug to others, and {QUIET}"
        assert pipeline.explain_empty() == QUIET


def test_something_trends_but_not_in_that_country(tmp_path: Path) -> None:
    looked = event("v", product="mug") | {"context": {"country": "DE"}}
    with processed(recommending("memory", tmp_path), looked) as pipeline:
        assert [entry.product.product_id for entry in pipeline.trending(country="DE")] == ["mug"]
        assert len(pipeline.trending(country="FR")) == 0
        assert pipeline.explain_empty(country="fr") == "nothing is trending in FR, but elsewhere; leave out the country"


def test_the_settings_ask_no_source(tmp_path: Path) -> None:
    looked = event("v", product="mug")
    with processed(
        recommending("memory", tmp_path, RecommendationSettings(blend=Blend(0, 0, 0, 0))), looked
    ) as pipeline:
        assert len(pipeline.recommend("zoe")) == 0
        nothing = "every source of recommendations has weight 0; give one of [recommendations.blend] a weight"
        assert (pipeline.explain_empty("zoe"), pipeline.explain_empty(product_id="jug")) == (nothing, nothing)
    with processed(
        recommending("memory", tmp_path, RecommendationSettings(blend=Blend(trending=0))), looked
    ) as pipeline:
        assert len(pipeline.recommend("zoe")) == 0
        assert pipeline.explain_empty("zoe") == (
            "nothing is known of customer zoe, and what is trending is not recommended: [recommendations.blend] has "
            "trending = 0"
        )


def test_what_was_taken_out_of_a_list_is_in_its_notes(tmp_path: Path) -> None:
    seen = event("v", product="mug", session="s", category="kitchen")
    low = event("r", "review", product="jug", rating=1)
    looked = event("w", user="bob", product="jug")
    with processed(recommending("memory", tmp_path), seen, low, looked) as pipeline:
        assert pipeline.recommend("ada").notes == (
            "1 of 2 products was left out: seen in this visit",
            "1 of 2 products was left out: rated 2 stars or less",
        )
        assert pipeline.similar("mug", rules=ListRules(exclude=frozenset((ProductId("jug"),)))).notes == (
            "exclude left nothing: it refused 1 of 2 products",
            "1 of 2 products was left out: seen in this visit",
        )
        assert pipeline.recommend("zoe", looking_at=["mug", "jug"]).notes == (
            "2 of 2 products were left out: seen in this visit",
        )


def test_what_is_rated_but_refused_is_in_the_notes(tmp_path: Path) -> None:
    rules = ListRules(only_categories=frozenset(("garden",)))
    with processed(
        recommending("memory", tmp_path, RecommendationSettings(rules=rules)), *reviews_of_today()
    ) as pipeline:
        assert pipeline.top_rated().notes == ("only_categories left nothing: it refused 1 of 1 product",)
    with processed(recommending("memory", tmp_path), event("v", product="mug")) as pipeline:
        assert pipeline.top_rated().notes == ()
        assert pipeline.container.explain_empty_list().of_ratings() == "no review with a rating has been counted"


def test_a_log_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_text("not a database, but a letter that is long enough to be taken for nothing else\n" * 9)
    with opened(Settings(log="sqlite", store="memory", database=str(file))) as pipeline:
        assert len(pipeline.recommend("zoe")) == 0
        assert pipeline.explain_empty("zoe").startswith("nothing was processed yet, and the log cannot be read: ")


@pytest.mark.parametrize("ids", [{"customer_id": "a\nb"}, {"product_id": ""}, {"country": "Germany"}])
def test_who_can_be_nobody_is_refused(ids: dict[str, str], tmp_path: Path) -> None:
    refused = pytest.raises((PipelineError, ValueError), match=r"is no |two letters")
    with opened(embedded("memory", tmp_path)) as pipeline, refused:
        pipeline.explain_empty(**ids)


@KINDS
def test_a_country_of_which_a_list_was_read_too_early(kind: Kind, tmp_path: Path) -> None:
    def seen_in(country: str, number: int) -> dict[str, object]:
        return event(f"v{number}", product="mug", at_ms=NOW_MS - number) | {"context": {"country": country}}

    with recommending(kind, tmp_path) as pipeline:
        processed(pipeline, seen_in("FR", 1), seen_in("FR", 2))
        assert len(pipeline.trending(country="DE")) == 0
        assert "nothing is trending in DE, but elsewhere" in pipeline.explain_empty(country="DE")
        processed(pipeline, seen_in("DE", 3))
        assert "was read before there was any" in pipeline.explain_empty(country="DE")


@KINDS
def test_the_variant_of_the_customer_is_the_cause(kind: Kind, tmp_path: Path) -> None:
    nothing = RecommendationSettings(blend=Blend(0, 0, 0, 0))
    experiment = Experiment("mixing", {"one": Variant(1, nothing), "two": Variant(1, nothing)})
    settings = Settings(partitions=2, experiment=experiment)
    with opened(embedded(kind, tmp_path, settings)) as pipeline:
        processed(pipeline, *(event(f"v{number}", product="mug", at_ms=NOW_MS - number) for number in range(2)))
        assert len(pipeline.recommend("zoe")) == 0
        assert pipeline.explain_empty("zoe").startswith("every source of recommendations has weight 0")
