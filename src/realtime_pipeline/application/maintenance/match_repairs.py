"""Which dead letter each repair is for."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence

from realtime_pipeline.domain.shop.times import utc_text
from realtime_pipeline.domain.streams.dead_letters import Letter, LetterKey, Repair, place_in


def match_repairs(
    repairs: Iterable[Repair], find: Callable[[Collection[str]], Iterable[Letter]]
) -> tuple[list[tuple[Letter, bytes]], list[tuple[str, str]]]:
    """Give each letter what is to be published in its place, by partition and position; name the ids of the repairs
    that are of no use, with why. `find` reads the letters of ids. Of two repairs for a letter the first counts.
    """
    refusals: list[tuple[str, str]] = []
    mended: dict[tuple[str, str | None], bytes] = {}
    for repair in repairs:
        name = repair.letter_id, repair.appended_at
        if place_in(repair.letter_id) is None:
            refusals.append((repair.letter_id, "is no id of a dead letter"))
        elif repair.value is None:
            refusals.append((repair.letter_id, "has no event yet: put what is to be published into `event`"))
        elif mended.setdefault(name, repair.value) != repair.value:
            refusals.append((repair.letter_id, "comes twice, with another event"))
    found: dict[str, list[Letter]] = defaultdict(list)
    for letter in find({letter_id for letter_id, _ in mended}) if mended else ():
        found[letter.id].append(letter)
    values: dict[LetterKey, tuple[Letter, bytes]] = {}
    for (letter_id, appended_at), value in mended.items():
        fitting = _fitting(found[letter_id], appended_at)
        if fitting is None:
            refusals.append((letter_id, _why_none_fits(found[letter_id], appended_at)))
        elif values.setdefault(fitting.key, (fitting, value))[1] != value:
            refusals.append((letter_id, "comes twice, with another event"))
    return [values[key] for key in sorted(values)], refusals


def _fitting(letters: Sequence[Letter], appended_at: str | None) -> Letter | None:
    """The letter that the log took in at that time; the newest, where no time is known."""
    fitting = (letter for letter in letters if appended_at in (None, _appended_at(letter)))
    return max(fitting, key=lambda letter: letter.record.appended_at_ms, default=None)


def _why_none_fits(letters: Sequence[Letter], appended_at: str | None) -> str:
    if not letters:
        return "there is no such dead letter"
    here = " and ".join(map(_appended_at, letters))
    return f"it came at {here} here, at {ascii(appended_at)[1:-1][:40]} in the file: that is another log's letter"


def _appended_at(letter: Letter) -> str:
    return utc_text(letter.record.appended_at_ms)
