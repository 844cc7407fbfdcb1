"""A merge as the one request that does it; `functions.lua` says what is where."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from realtime_pipeline.application.ports.views import Merge
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Fact, ProductState
from realtime_pipeline.domain.shop.session import SessionKey
from realtime_pipeline.domain.streams.effects import Activity, Deltas
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.nodes import Request

ACTIONS: Final[Mapping[str, str]] = {"v": "views", "c": "carts", "p": "purchases"}
"""By which letter a product's actions of an hour are known."""

Arguments = list[str | int | bytes]


def member(key: SessionKey) -> str:
    """Write a session's key so that the order of texts is that of numbers."""
    return f"{key:016x}"


Hour = tuple[int, str | None]
"""An hour of a country, or of all."""


def merge_request(keys: Keys, merge: Merge, listed_max: int, gone: Sequence[Hour]) -> Request:
    """Write a merge as a request; the activity of the hours `gone` is let go of."""
    cell, deltas = merge.view_cell, merge.deltas
    activity = _activity(deltas, set(gone))
    hours = sorted(hour for hour, country in activity if country is None)
    numbers = _numbers(keys, cell, deltas)
    for (hour, country), fields in activity.items():
        numbers[keys.activity(cell, hour, country)] = fields
        if country is not None:
            numbers.setdefault(keys.hours(cell, country), []).extend((hour, 1))
    if deltas.by_country:
        countries = dict.fromkeys(country for _, country, _ in deltas.by_country)
        numbers[keys.view(cell, "countries")] = [part for country in countries for part in (country, 1)]
    numbers = {name: group for name, group in numbers.items() if group}
    lists = _lists(deltas)
    names = [
        *(keys.view(cell, name) for name in ("sources", "hours", "names", "categories", "prices", "moved")),
        *numbers,
        *(keys.list(cell, product_id) for product_id in lists),
        *(key for hour, where in gone for key in (keys.hours(cell, where), keys.activity(cell, hour, where))),
    ]
    arguments: Arguments = [len(merge.ranges)]
    for one in merge.ranges:
        mark = one.watermark
        arguments += (one.partition, one.epoch, one.from_position, one.to_position)
        arguments += (mark.at_ms, mark.newest_ms, mark.appended_at_ms)
    arguments += (listed_max, len(gone), *(hour for hour, _ in gone), len(hours), *hours)
    products = deltas.products.items()
    arguments += _facts((product_id, state.name) for product_id, state in products)
    arguments += _facts((product_id, state.category) for product_id, state in products)
    arguments += _facts((product_id, state.price) for product_id, state in products)
    for groups in (numbers, lists):
        arguments.append(len(groups))
        for group in groups.values():
            arguments.append(len(group) // 2)
            arguments += group
    return ("FCALL", "rp4_merge", len(names), *names, *arguments)


def _facts(said: Iterable[tuple[ProductId, Fact | None]]) -> Arguments:
    arguments: Arguments = [0]
    for product_id, fact in said:
        if fact is not None:
            arguments += (product_id, f"{fact[1]} {fact[0]}")
    arguments[0] = len(arguments) // 2
    return arguments


def _numbers(keys: Keys, cell: int, deltas: Deltas) -> dict[str, Arguments]:
    """By key, the numbers that grow: (field, growth)."""
    states: Mapping[ProductId, ProductState] = deltas.products
    interactions: Arguments = []
    ratings: Arguments = []
    sums: Arguments = []
    total = 0
    for product_id, state in states.items():
        interactions += (product_id, state.interactions)
        total += state.interactions
        if state.ratings or state.rating_sum:
            ratings += (product_id, state.ratings)
            sums += (product_id, state.rating_sum)
    found: dict[str, Arguments] = {
        keys.view(cell, "interactions"): interactions,
        keys.view(cell, "totals"): ["interactions", total],
        keys.view(cell, "ratings"): ratings,
        keys.view(cell, "rating_sums"): sums,
    }
    return found


def _activity(deltas: Deltas, gone: set[Hour]) -> dict[Hour, Arguments]:
    """By hour and country, what grows: (letter and product, growth)."""
    found: dict[Hour, Arguments] = {}
    for (hour, product_id), done in deltas.activity.items():
        _note(found.setdefault((hour, None), []), product_id, done)
    for (hour, country, product_id), done in deltas.by_country.items():
        _note(found.setdefault((hour, country), []), product_id, done)
    return {place: fields for place, fields in found.items() if place not in gone}


def _note(fields: Arguments, product_id: ProductId, done: Activity) -> None:
    if done.views:
        fields += (f"v:{product_id}", done.views)
    if done.carts:
        fields += (f"c:{product_id}", done.carts)
    if done.purchases:
        fields += (f"p:{product_id}", done.purchases)


def _lists(deltas: Deltas) -> dict[ProductId, Arguments]:
    """By product, the sessions that touched it: (time, session)."""
    found: dict[ProductId, Arguments] = {}
    for (product_id, key), at_ms in deltas.index.items():
        found.setdefault(product_id, []).extend((at_ms, member(key)))
    return found
