"""A merge as the one request that does it; `functions.lua` says what is where."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from realtime_pipeline.application.ports.views import Merge, SourceRange
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.views.activity import Activity
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.infrastructure.redis.client import Key
from realtime_pipeline.infrastructure.redis.connection import Request
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.rows import row_of
from realtime_pipeline.infrastructure.redis.settings import LAYOUT

ACTIONS: Final[Mapping[str, str]] = {"v": "views", "c": "carts", "p": "purchases"}
"""By which letter a product's actions of an hour are known."""

Growth = list[str | int]
"""Fields of a hash, and by how much the number in each grows, by turns."""

_encode = msgspec.msgpack.Encoder().encode


def member(key: SessionKey) -> str:
    """Write a session's key so that the order of texts is that of numbers."""
    return f"{key:016x}"


def sum_field(measure: str, product_id: ProductId) -> str:
    """The field of a product's sum in the hash of its projection."""
    return f"{measure}:{product_id}"


Hour = tuple[int, str | None]
"""An hour of a country, or of all."""


def merge_request(
    keys: Keys, group: int, merge: Merge, listed_max: int, oldest_hour: int, latest_ms: int, gone: Sequence[Hour]
) -> tuple[Key, Request]:
    """Write a merge as a request, and say by which key it is sent.

    The hours `gone` are deleted; what is done before the oldest hour is not counted; facts of products with a time of
    after `latest_ms` gives way to anything else.
    """
    deltas = merge.deltas
    numbers = {name: growth for name, growth in _numbers(keys, group, deltas, oldest_hour).items() if growth}
    lists = _lists(deltas)
    names = [
        keys.sources(group, merge.view_cell),
        *(keys.view(group, name) for name in ("products", "moved", "absent", "totals")),
        *numbers,
        *(keys.list(group, product_id) for product_id in lists),
        *(key for hour, where in gone for key in (keys.hours(group, where), keys.activity(group, hour, where))),
    ]
    said = {
        "sources": list(map(_source, merge.ranges)),
        "products": {product_id: row_of(state) for product_id, state in deltas.products.items()},
        "numbers": list(numbers.values()),
        "lists": list(lists.values()),
        "listed": listed_max,
        "latest": latest_ms,
        "gone": [str(hour) for hour, _ in gone],
        "layout": str(LAYOUT),
    }
    return names[0], ("FCALL", "rp9_merge", len(names), *names, _encode(said))


def _source(one: SourceRange) -> list[str]:
    mark = one.watermark
    times = (mark.at_ms, mark.newest_ms, mark.appended_at_ms, mark.largest_ms)
    return list(map(str, (one.partition, one.epoch, one.from_position, one.to_position, *times)))


def _numbers(keys: Keys, group: int, deltas: Deltas, oldest_hour: int) -> dict[str, Growth]:
    """By key, the numbers that grow."""
    activity = _activity(deltas, oldest_hour)
    found: dict[str, Growth] = {keys.activity(group, *place): fields for place, fields in activity.items()}
    for hour, country in activity:
        found.setdefault(keys.hours(group, country), []).extend((str(hour), 1))
    ratings: Growth = []
    sums: Growth = []
    total = 0
    for product_id, state in deltas.products.items():
        total += state.interactions
        if state.ratings or state.rating_sum:
            ratings += (product_id, state.ratings)
            sums += (product_id, state.rating_sum)
    if total:
        found[keys.view(group, "totals")] = ["interactions", total]
    found[keys.view(group, "ratings")] = ratings
    found[keys.view(group, "rating_sums")] = sums
    for (projection, product_id, measure), number in deltas.sums.items():
        found.setdefault(keys.sums(group, projection), []).extend((sum_field(measure, product_id), number))
    for projection, measure in dict.fromkeys((projection, measure) for projection, _, measure in deltas.sums):
        found.setdefault(keys.measures(group, projection), []).extend((measure, 1))
    countries = dict.fromkeys(country for _, country, _ in deltas.by_country)
    found[keys.view(group, "countries")] = [part for country in countries for part in (country, 1)]
    return found


def _activity(deltas: Deltas, oldest_hour: int) -> dict[Hour, Growth]:
    """By hour and country, what grows: (letter and product, growth)."""
    found: dict[Hour, Growth] = {}
    for (hour, product_id), done in deltas.activity.items():
        _note(found.setdefault((hour, None), []), product_id, done)
    for (hour, country, product_id), done in deltas.by_country.items():
        _note(found.setdefault((hour, country), []), product_id, done)
    return {place: fields for place, fields in found.items() if place[0] >= oldest_hour}


def _note(fields: Growth, product_id: ProductId, done: Activity) -> None:
    if done.views:
        fields += (f"v:{product_id}", done.views)
    if done.carts:
        fields += (f"c:{product_id}", done.carts)
    if done.purchases:
        fields += (f"p:{product_id}", done.purchases)


def _lists(deltas: Deltas) -> dict[ProductId, list[int | str]]:
    """By product, the sessions that touched it: (time, session)."""
    found: dict[ProductId, list[int | str]] = {}
    for (product_id, key), at_ms in deltas.index.items():
        found.setdefault(product_id, []).extend((at_ms, member(key)))
    return found
