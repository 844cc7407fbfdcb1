"""Match repairs to dead letters."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence

from realtime_pipeline.domain.shop.times import utc_text
from realtime_pipeline.domain.streams.dead_letters import Letter, LetterKey, Repair, place_in


def match_repairs(
    repairs: Iterable[Repair], find: Callable[[Collection[str]], Iterable[Letter]]
) -> tuple[list[tuple[Letter, bytes]], list[tuple[str, str]]]:
    """Find the letter of each repair. Of two repairs for a letter the first counts.

    Args:
        repairs: the repairs, by the id of a letter, perhaps with the time at which the log took it in.
        find: reads the letters of ids.

    Returns:
        The letters with the events to publish in their place, by partition and position; and the ids of refused
        repairs, with the reason.
    """
    refusals: list[tuple[str, str]] = []
    repaired: dict[tuple[str, str | None], bytes] = {}
    for repair in repairs:
        key = repair.letter_id, repair.appended_at
        if place_in(repair.letter_id) is None:
            refusals.append((repair.letter_id, "is no id of a dead letter"))
        elif repair.value is None:
            refusals.append((repair.letter_id, "has no event yet: put the repaired event into `event`"))
        elif repaired.setdefault(key, repair.value) != repair.value:
            refusals.append((repair.letter_id, "comes twice, with another event"))
    found: dict[str, list[Letter]] = defaultdict(list)
    for letter in find({letter_id for letter_id, _ in repaired}) if repaired else ():
        found[letter.id].append(letter)
    values: dict[LetterKey, tuple[Letter, bytes]] = {}
    for (letter_id, appended_at), value in repaired.items():
        match = _match(found[letter_id], appended_at)
        if match is None:
            refusals.append((letter_id, _why_none_matches(found[letter_id], appended_at)))
        elif values.setdefault(match.key, (match, value))[1] != value:
            refusals.append((letter_id, "comes twice, with another event"))
    return [values[key] for key in sorted(values)], refusals


def _match(letters: Sequence[Letter], appended_at: str | None) -> Letter | None:
    """Return the letter that the log took in at that time; without a time, the newest."""
    matches = (letter for letter in letters if appended_at in (None, _appended_at(letter)))
    return max(matches, key=lambda letter: letter.record.appended_at_ms, default=None)


def _why_none_matches(letters: Sequence[Letter], appended_at: str | None) -> str:
    if not letters:
        return "there is no such dead letter"
    times = " and ".join(map(_appended_at, letters))
    return f"it came at {times} here, at {ascii(appended_at)[1:-1][:40]} in the file: that is another log's letter"


def _appended_at(letter: Letter) -> str:
    return utc_text(letter.record.appended_at_ms)
