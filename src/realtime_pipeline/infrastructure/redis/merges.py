"""A merge as the one request that does it; `functions.lua` says what is where."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from realtime_pipeline.application.ports.views import Merge
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.product import Fact, ProductState
from realtime_pipeline.domain.shop.session import SessionKey
from realtime_pipeline.domain.streams.effects import Activity, Deltas
from realtime_pipeline.infrastructure.redis.keys import Keys, hour_name
from realtime_pipeline.infrastructure.redis.nodes import Request

ACTIONS: Final[Mapping[str, str]] = {"v": "views", "c": "carts", "p": "purchases"}
"""By which letter a product's actions of an hour are known."""

Arguments = list[str | int | bytes]


def member(key: SessionKey) -> str:
    """Write a session's key so that the order of texts is that of numbers."""
    return f"{key:016x}"


def merge_request(keys: Keys, merge: Merge, listed_max: int, gone: Sequence[str]) -> Request:
    """Write a merge as a request; the activity of the hours `gone` (their names) is let go of."""
    cell, deltas = merge.view_cell, merge.deltas
    activity = _activity(deltas, set(gone))
    hours = sorted(activity)
    numbers = _numbers(keys, cell, deltas)
    numbers.update((keys.activity(cell, hour), fields) for hour, fields in activity.items() if fields)
    lists = _lists(deltas)
    names = [
        *(keys.view(cell, name) for name in ("sources", "hours", "names", "categories", "prices")),
        *numbers,
        *(keys.list(cell, product_id) for product_id in lists),
        *(keys.activity(cell, hour) for hour in gone),
    ]
    arguments: Arguments = [len(merge.ranges)]
    for one in merge.ranges:
        mark = one.watermark
        arguments += (one.partition, one.epoch, one.from_position, one.to_position)
        arguments += (mark.at_ms, mark.newest_ms, mark.appended_at_ms)
    arguments += (listed_max, len(gone), *gone, len(hours), *hours)
    products = deltas.products.items()
    arguments += _facts((product_id, state.name) for product_id, state in products)
    arguments += _facts((product_id, state.category) for product_id, state in products)
    arguments += _facts((product_id, state.price) for product_id, state in products)
    for groups in (numbers, lists):
        arguments.append(len(groups))
        for group in groups.values():
            arguments.append(len(group) // 2)
            arguments += group
    return ("FCALL", "rp3_merge", len(names), *names, *arguments)


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
    return {name: group for name, group in found.items() if group}


def _activity(deltas: Deltas, gone: set[str]) -> dict[str, Arguments]:
    """By the name of an hour, what grows: (letter and product, growth)."""
    found: dict[str, Arguments] = {}
    for (hour, product_id), done in deltas.activity.items():
        _note(found.setdefault(hour_name(hour), []), product_id, done)
    for (hour, country, product_id), done in deltas.by_country.items():
        _note(found.setdefault(hour_name(hour, country), []), product_id, done)
    return {name: fields for name, fields in found.items() if name not in gone}


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
