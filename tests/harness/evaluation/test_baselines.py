"""The models to compare with: by hand, and against published lists."""

import csv
from collections.abc import Iterator

import pytest

from harness.evaluation.baselines import AssociationRules, Popularity, SequentialRules
from harness.evaluation.session_neighbours import STAN, Stan, Vsknn, VsknnSettings
from harness.evaluation.visit_files import read_visits
from realtime_pipeline.application.evaluation.model import Model
from realtime_pipeline.application.evaluation.protocols import session_rec
from tests.harness.support.real_data import real
from tests.support.evaluation_visits import LENGTH, ids, trained, visit


def test_rules_count_as_published() -> None:
    rules = trained(AssociationRules(), visit("1", "abaca"), visit("2", "ab"))
    # a b a c a: pairs of positions with a on both ends count twice for a itself.
    assert rules.scores("", ids("a"), 0) == {"b": 4, "c": 3, "a": 6}
    sequential = trained(SequentialRules(), visit("1", "abc"), visit("2", "ac"))
    assert sequential.scores("", ids("a"), 0) == {"b": 1, "c": 1 / 2 + 1}
    assert trained(Popularity(), visit("1", "aab")).recommend("", ids("a"), 0, 1) == ["a"]
    assert trained(AssociationRules(), visit("1", "ab")).scores("", ids("z"), 0) == {}


@pytest.mark.parametrize("model", [Vsknn(VsknnSettings()), Stan(STAN)])
def test_a_visit_is_not_its_own_neighbour(model: Model) -> None:
    trained(model, visit("1", "abc"), visit("2", "ade", 100))
    assert model.scores("1", ids("a"), 200).keys() == {"a", "d", "e"}
    assert model.scores("3", ids("a"), 200).keys() == {"a", "b", "c", "d", "e"}


@pytest.mark.parametrize(
    ("model", "scores"),
    [
        (Popularity(), {"a": 1, "d": 1, "e": 1}),
        (AssociationRules(), {"d": 1, "e": 1}),
        (SequentialRules(), {"d": 1, "e": 1 / 2}),
    ],
)
def test_a_visit_does_not_count_for_itself(model: Model, scores: dict[str, float]) -> None:
    trained(model, visit("1", "abac"), visit("2", "ade", 100))
    assert model.scores("1", ids("a"), 200) == pytest.approx(scores)
    assert "c" in model.scores("3", ids("a"), 200)


RSC15 = "rsc15_100k/prepared/yoochoose-clicks-100k_{}.txt"
GOLDEN = "rsc15_100k/recommendations/recoms_rsc15_100k_{}.csv"


def golden(model: str) -> dict[tuple[str, int], list[float]]:
    """The scores of published lists, by visit and position; the largest is 1."""
    csv.field_size_limit(1 << 20)
    with real(GOLDEN.format(model)).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    return {
        (row["SessionId"], int(row["Position"])): [float(score) for score in row["Scores"].split(",")] for row in rows
    }


def pairs_of_scores(
    model: Model, published: dict[tuple[str, int], list[float]]
) -> Iterator[tuple[list[float], list[float]]]:
    """The ten best scores of a trained model and the published ones, both divided by the largest."""
    for test_visit in read_visits([real(RSC15.format("test"))], "rsc15"):
        products = test_visit.products
        for done in range(1, len(products)):
            if (test_visit.key, done - 1) in published:
                at_ms = test_visit.touches[done - 1].at_ms
                scores = sorted(model.scores(test_visit.key, products[:done], at_ms).values())
                best = [score / scores[-1] for score in scores[:-11:-1]]
                yield best + [0.0] * (10 - len(best)), published[test_visit.key, done - 1][:10]


@pytest.mark.data
def test_association_rules_are_those_of_the_golden_lists() -> None:
    published = golden("ar")
    model = trained(AssociationRules(), *read_visits([real(RSC15.format("train_full"))], "rsc15"))
    same = [mine == pytest.approx(theirs) for mine, theirs in pairs_of_scores(model, published)]
    assert (sum(same), len(same)) == (387, 387)


@pytest.mark.data
def test_vsknn_reaches_the_figures_of_the_golden_lists() -> None:
    published = golden("vsknn")
    training = read_visits([real(RSC15.format("train_full"))], "rsc15")
    visits = {key for key, _ in published}
    test = [visit for visit in read_visits([real(RSC15.format("test"))], "rsc15") if visit.key in visits]
    card = session_rec(Vsknn(VsknnSettings()), training, test, LENGTH, lambda: None)
    assert card.predictions == 387
    assert card.means()["HR"] == pytest.approx(0.6098, abs=0.00005)
    assert card.means()["MRR"] == pytest.approx(0.3342, abs=0.0001)
