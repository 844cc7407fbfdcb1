"""SuggestMapping: a draft of a mapping, from the names and the values of records."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC
from decimal import Decimal
from typing import Any, Final, Literal

import attrs

from realtime_pipeline.domain.conditions import FieldTest
from realtime_pipeline.domain.mapping.definitions import MONEY, TYPE, EventMapping, EventRule, Field, FieldSpec
from realtime_pipeline.domain.mapping.numbers import read_number
from realtime_pipeline.domain.mapping.times import time_reader

DEPTH_MAX: Final = 4
PATHS_MAX: Final = 2_000
VALUES_MAX: Final = 50
"""How many paths, and values of each, are looked at."""
USABLE_SHARE: Final = 0.9
"""The share of a path's values that must be numbers, for a field that is one."""
ELEMENT: Final = "item"
"""The variable of the elements of a list."""

NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    TYPE: ("eventtype", "eventname", "event", "action", "type", "activity", "verb", "kind"),
    "event_id": ("eventid", "messageid", "insertid", "uuid", "id"),
    "user_id": ("userid", "customerid", "memberid", "accountid", "buyerid", "uid", "user", "customer", "reviewerid"),
    "session_id": (
        *("sessionid", "usersession", "session", "anonymousid", "visitorid", "clientid", "userpseudoid"),
        *("deviceid", "cookieid", "visitor"),
    ),
    "timestamp": (
        *("timestamp", "eventtimestamp", "eventtime", "occurredat", "time", "datetime", "createdat", "ts"),
        *("invoicedate", "orderdate", "date", "unixreviewtime"),
    ),
    "product_id": (
        *("productid", "itemid", "contentid", "sku", "productsku", "asin", "stockcode", "articleid", "variantid"),
        *("item", "product", "id"),
    ),
    "category": ("category", "categorycode", "itemcategory", "productcategory", "producttype", "department"),
    "name": ("productname", "itemname", "title", "name", "description"),
    "price": ("price", "unitprice", "itemprice", "productprice"),
    "quantity": ("quantity", "qty", "units", "pieces"),
    "amount": ("amount", "linetotal", "total", "revenue", "value"),
    "order_id": ("orderid", "transactionid", "invoiceno", "ordernumber", "invoice", "order"),
    "rating": ("rating", "stars", "overall", "score"),
    "text": ("reviewtext", "reviewbody", "text", "comment"),
    "country": ("countrycode", "country"),
    "currency": ("currency", "currencycode"),
}
"""By our field, what others call it: letters and digits alone, the most telling first."""

TYPES: Final[Sequence[tuple[str, tuple[str, ...]]]] = (
    ("exposure", ("listview", "impression", "listshown", "viewitemlist", "ranking")),
    ("remove_from_cart", ("remove",)),
    ("add_to_cart", ("cart", "basket", "productadded", "addproduct")),
    ("refund", ("refund", "cancel", "return")),
    ("purchase", ("purchase", "ordercompleted", "completedorder", "orderplaced", "transaction", "buy", "bought")),
    ("review", ("review", "rating", "rated")),
    ("sign_in", ("login", "signin", "identify")),
    ("view", ("view", "click", "detail", "visit", "select")),
)
"""By our type, parts of what others call it; the first that fits."""

PATTERNS: Final = (
    *("%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%d.%m.%Y", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %H:%M", "%m/%d/%Y"),
    *("%d/%m/%Y %H:%M:%S", "%d/%m/%Y %H:%M", "%d/%m/%Y", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d", "%d/%b/%Y:%H:%M:%S %z"),
)
_UNITS: Final = (("s", 10**9, 10**10), ("ms", 10**12, 10**13), ("us", 10**15, 10**16), ("ns", 10**18, 10**19))


@attrs.define
class _Seen:
    """What was seen at a path."""

    count: int = 0
    values: dict[str, Any] = attrs.Factory(dict)

    def add(self, value: object) -> None:
        self.count += 1
        if len(self.values) < VALUES_MAX:
            self.values.setdefault(str(value)[:200], value)


class SuggestMapping:
    """Looks at records, then suggests a mapping. What it suggests is a draft: check it."""

    def __init__(self) -> None:
        self._records = 0
        self._paths: dict[str, _Seen] = {}
        self._lists: dict[str, dict[str, _Seen]] = {}

    def add(self, document: Mapping[str, object]) -> None:
        """Look at a record."""
        self._records += 1
        for path, value in _flat(document, "", DEPTH_MAX):
            if isinstance(value, list):
                self._add_list(path, value)
            elif path in self._paths or len(self._paths) < PATHS_MAX:
                self._paths.setdefault(path, _Seen()).add(value)

    def _add_list(self, path: str, elements: Sequence[object]) -> None:
        if not any(isinstance(element, Mapping) for element in elements):
            return
        if path not in self._lists and len(self._lists) >= VALUES_MAX:
            return
        seen = self._lists.setdefault(path, {})
        for element in elements[:VALUES_MAX]:
            for inner, value in _flat(element, "", 2) if isinstance(element, Mapping) else ():
                if not isinstance(value, list) and (inner in seen or len(seen) < VALUES_MAX):
                    seen.setdefault(inner, _Seen()).add(value)

    def suggest(self) -> EventMapping:
        """Suggest a mapping of the records seen. Fields that were not found are left out."""
        chosen = _choose(self._paths, NAMES)
        fields: dict[str, FieldSpec] = dict(chosen.items())
        lines = self._line_rule()
        split = set(lines[0].fields) if lines else set[str]()
        if lines:  # what is beside the lines is of the whole order
            split |= {*MONEY, "quantity", "name", "category"}
        fields = {name: spec for name, spec in fields.items() if name not in split or name == "event_id"}
        if TYPE not in fields:
            fields[TYPE] = Field(constant="view")
        values = list(self._paths[chosen["timestamp"]].values.values()) if "timestamp" in chosen else []
        money = [value for seen in self._money(chosen, lines) for value in seen.values.values()]
        types = self._paths[chosen[TYPE]].values if TYPE in chosen else {}
        return EventMapping(
            fields=fields,
            events=(*lines, EventRule(when={} if not lines else {_list_of(lines[0]): FieldTest(present=False)})),
            types={name: found for name in types if (found := _our_type(name)) is not None and found != name},
            time=_time_form(values),
            decimal=_decimal(money),
        )

    def _money(self, chosen: Mapping[str, str], lines: Sequence[EventRule]) -> Iterator[_Seen]:
        """What was seen where money is."""
        yield from (self._paths[chosen[name]] for name in MONEY if name in chosen)
        for rule in lines:
            seen = self._lists[_list_of(rule)]
            paths = (str(rule.fields[name]).removeprefix(f"{ELEMENT}.") for name in MONEY if name in rule.fields)
            yield from (seen[path] for path in paths)

    def _line_rule(self) -> tuple[EventRule, ...]:
        """A rule for the list whose elements are products, where there is one."""
        for path, seen in self._lists.items():
            chosen = _choose(seen, {name: NAMES[name] for name in _OF_LINES})
            if "product_id" in chosen:
                fields: dict[str, FieldSpec] = {name: f"{ELEMENT}.{inner}" for name, inner in chosen.items()}
                return (EventRule(when={path: FieldTest(present=True)}, split={ELEMENT: path}, fields=fields),)
        return ()


_OF_LINES: Final = ("product_id", "category", "name", "price", "quantity", "amount")


def _list_of(rule: EventRule) -> str:
    return next(iter(rule.split.values()))


def _flat(document: Mapping[str, object], within: str, depth: int) -> Iterator[tuple[str, object]]:
    for name, value in document.items():
        if value in (None, "", [], {}) or '"' in name:
            continue
        quoted = f'"{name}"' if any(character in name for character in ".[]") else name
        path = f"{within}.{quoted}" if within else quoted
        if isinstance(value, Mapping):
            if depth > 1:
                yield from _flat(value, path, depth - 1)
        else:
            yield path, value


def _letters(path: str) -> str:
    name = path.rpartition(".")[2]
    return "".join(character for character in name.casefold() if character.isalnum())


def _choose(paths: Mapping[str, _Seen], names: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Choose a path for each of our fields: by the rank of its name, then how often it has a value, then its depth."""
    chosen: dict[str, str] = {}
    taken: set[str] = set()
    for field, known in names.items():
        ranked = [
            (known.index(letters), -seen.count, path.count("."), path)
            for path, seen in paths.items()
            if (letters := _letters(path)) in known and path not in taken and _fits(field, seen)
        ]
        if ranked:
            chosen[field] = min(ranked)[-1]
            taken.add(chosen[field])
    return chosen


def _fits(field: str, seen: _Seen) -> bool:
    """Whether the values of a path can be those of a field."""
    values = list(seen.values.values())
    if field == "timestamp":
        return bool(_readable_times(values, _time_form(values)))
    if field in ("price", "quantity", "amount", "rating"):
        read = [read_number(value, _decimal(values)) is not None for value in values]
        return sum(read) >= USABLE_SHARE * len(read)
    if field == TYPE:
        return all(isinstance(value, str) for value in values) and len(values) < VALUES_MAX
    return all(isinstance(value, str | int | float) for value in values)


def _time_form(values: Sequence[object]) -> str:
    """How times are written, as a mapping's `time` says it: the first form in which all can be read."""
    numbers = [number for value in values if (number := read_number(value)) is not None]
    if values and len(numbers) == len(values):
        for unit, least, most in _UNITS:
            if all(least <= number < most for number in numbers):
                return "" if unit == "ms" else unit
    for form in ("", *PATTERNS):
        if _readable_times(values, form):
            return form
    return ""


def _readable_times(values: Sequence[object], form: str) -> bool:
    read = time_reader(form, UTC)
    return bool(values) and all(isinstance(read(value), int) for value in values)


def _decimal(values: Iterable[object]) -> Literal[".", ","]:
    """What separates decimals: a comma, if more of the values can be read so."""
    found: Counter[str] = Counter()
    for value in values:
        for decimal in (".", ","):
            number = read_number(value, decimal)
            found[decimal] += number is not None and isinstance(number, Decimal)
    return "," if found[","] > found["."] else "."


def _our_type(name: str) -> str | None:
    letters = "".join(character for character in name.casefold() if character.isalnum())
    for ours, parts in TYPES:
        if any(part in letters for part in parts):
            return ours
    return None
