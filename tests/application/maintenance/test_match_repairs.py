"""Which of several letters of an id a repair is for: the topic was deleted and made again, and both had that place."""

from collections.abc import Collection

import pytest

from realtime_pipeline.application.maintenance.match_repairs import match_repairs
from realtime_pipeline.domain.streams.dead_letters import Letter, Repair
from realtime_pipeline.domain.streams.effects import DeadLetter
from realtime_pipeline.domain.streams.records import Record

FIRST, SECOND = "1970-01-01T00:00:01.000Z", "1970-01-01T00:00:02.000Z"
LETTERS = [Letter(DeadLetter(Record(0, 3, None, b"x", at_ms), "not_json", None)) for at_ms in (1_000, 2_000)]
ELSEWHERE = "it came at {} and {} here, at 1971-01-01T00:00:00.000Z in the file: that is another log's letter"


def find(ids: Collection[str]) -> list[Letter]:
    return [letter for letter in LETTERS if letter.id in ids]


@pytest.mark.parametrize(
    ("repairs", "published", "refusals"),
    [
        ([Repair("0-3", b"a", FIRST)], {1_000: b"a"}, []),
        ([Repair("0-3", b"a", SECOND)], {2_000: b"a"}, []),
        ([Repair("0-3", b"a")], {2_000: b"a"}, []),
        ([Repair("0-3", b"a", SECOND), Repair("0-3", b"b", FIRST)], {1_000: b"b", 2_000: b"a"}, []),
        ([Repair("0-3", b"a"), Repair("0-3", b"a", SECOND)], {2_000: b"a"}, []),
        ([Repair("0-3", b"a"), Repair("0-3", b"b", SECOND)], {2_000: b"a"}, ["comes twice, with another event"]),
        ([Repair("0-3", b"a", "1971-01-01T00:00:00.000Z")], {}, [ELSEWHERE.format(FIRST, SECOND)]),
        ([Repair("0-4", b"a", FIRST)], {}, ["there is no such dead letter"]),
    ],
)
def test_a_repair_is_for_the_letter_of_its_time(
    repairs: list[Repair], published: dict[int, bytes], refusals: list[str]
) -> None:
    values, refused = match_repairs(repairs, find)
    assert {letter.record.appended_at_ms: value for letter, value in values} == published
    assert refused == [(repairs[0].letter_id, reason) for reason in refusals]
