"""Writes a merge as one request to the Function `merge`; `lua/views.lua` describes its arguments."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from realtime_pipeline.application.ports.views import Merge, SourceRange
from realtime_pipeline.domain.profile.session import SessionKey
from realtime_pipeline.domain.shop.events import ProductId
from realtime_pipeline.domain.shop.last_write import LastWrite
from realtime_pipeline.domain.views.activity import Activity
from realtime_pipeline.domain.views.deltas import Deltas
from realtime_pipeline.domain.views.sales import by_product
from realtime_pipeline.infrastructure.redis.client import Key
from realtime_pipeline.infrastructure.redis.connection import Request
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.rows import row_of
from realtime_pipeline.infrastructure.redis.settings import CLAIM_LAYOUT

ACTIONS: Final[Mapping[str, str]] = {"v": "views", "c": "carts", "p": "purchases"}
"""Actions by the letter that their fields begin with."""

Increments = list[str | int]
"""Pairs of a field of a hash and the increment of its count, flat."""

_encode = msgspec.msgpack.Encoder().encode


def member(key: SessionKey) -> str:
    """Write a session key as text that sorts as the number does."""
    return f"{key:016x}"


def sum_field(measure: str, product_id: ProductId) -> str:
    """The field of a product's sum in the hash of its projection."""
    return f"{measure}:{product_id}"


Hour = tuple[int, str | None]
"""An hour, and a country or None for all."""


def merge_request(
    keys: Keys,
    group: int,
    merge: Merge,
    list_size_max: int,
    oldest_hour: int,
    latest_ms: int,
    expired: Sequence[Hour],
    first_sale_ms: int,
) -> tuple[Key, Request]:
    """Write a merge as a request; return it after the key whose node takes it.

    The merge deletes the `expired` hours and does not count activity before `oldest_hour`. A fact of a product with a
    time after `latest_ms` loses against every other fact; sales before `first_sale_ms` need not be stored.
    """
    deltas = merge.deltas
    counts = {key: increments for key, increments in _counts(keys, group, deltas, oldest_hour).items() if increments}
    lists = _lists(deltas)
    catalogue = _catalogue(deltas)
    names = [
        keys.sources(group, merge.view_cell),
        *(keys.view(group, name) for name in ("products", "moved", "absent", "totals", "listings")),
        *counts,
        *(keys.list(group, product_id) for product_id in lists),
        *(keys.sales(group, product_id) for product_id, *_ in catalogue),
        *(
            key
            for hour, country in expired
            for key in (keys.hours(group, country), keys.activity(group, hour, country))
        ),
    ]
    arguments = {
        "sources": list(map(_source, merge.ranges)),
        "products": {product_id: row_of(state) for product_id, state in deltas.products.items()},
        "counts": list(counts.values()),
        "lists": list(lists.values()),
        "list_size_max": list_size_max,
        "latest_ms": latest_ms,
        "catalogue": catalogue,
        "first_sale_ms": first_sale_ms,
        "expired": [str(hour) for hour, _ in expired],
        "layout": str(CLAIM_LAYOUT),
    }
    return names[0], ("FCALL", "rp12_merge", len(names), *names, _encode(arguments))


def _source(source: SourceRange) -> list[str]:
    mark = source.watermark
    times = (mark.at_ms, mark.newest_ms, mark.appended_at_ms, mark.largest_ms)
    return list(map(str, (source.partition, source.epoch, source.from_position, source.to_position, *times)))


def _counts(keys: Keys, group: int, deltas: Deltas, oldest_hour: int) -> dict[str, Increments]:
    """Collect the increments of counts, by key of their hash."""
    activity = _activity(deltas, oldest_hour)
    counts: dict[str, Increments] = {keys.activity(group, *hour): fields for hour, fields in activity.items()}
    for hour, country in activity:
        counts.setdefault(keys.hours(group, country), []).extend((str(hour), 1))
    ratings: Increments = []
    sums: Increments = []
    total = 0
    for product_id, state in deltas.products.items():
        total += state.interactions
        if state.ratings or state.rating_sum:
            ratings += (product_id, state.ratings)
            sums += (product_id, state.rating_sum)
    if total:
        counts[keys.view(group, "totals")] = ["interactions", total]
    counts[keys.view(group, "ratings")] = ratings
    counts[keys.view(group, "rating_sums")] = sums
    for (projection, product_id, measure), number in deltas.sums.items():
        counts.setdefault(keys.sums(group, projection), []).extend((sum_field(measure, product_id), number))
    for projection, measure in dict.fromkeys((projection, measure) for projection, _, measure in deltas.sums):
        counts.setdefault(keys.measures(group, projection), []).extend((measure, 1))
    countries = dict.fromkeys(country for _, country, _ in deltas.by_country)
    counts[keys.view(group, "countries")] = [part for country in countries for part in (country, 1)]
    return counts


def _activity(deltas: Deltas, oldest_hour: int) -> dict[Hour, Increments]:
    """Collect the increments of activity, by hour and country; fields are a letter and a product."""
    by_hour: dict[Hour, Increments] = {}
    for (hour, product_id), activity in deltas.activity.items():
        _add_activity(by_hour.setdefault((hour, None), []), product_id, activity)
    for (hour, country, product_id), activity in deltas.by_country.items():
        _add_activity(by_hour.setdefault((hour, country), []), product_id, activity)
    return {hour: fields for hour, fields in by_hour.items() if hour[0] >= oldest_hour}


def _add_activity(fields: Increments, product_id: ProductId, activity: Activity) -> None:
    if activity.views:
        fields += (f"v:{product_id}", activity.views)
    if activity.carts:
        fields += (f"c:{product_id}", activity.carts)
    if activity.purchases:
        fields += (f"p:{product_id}", activity.purchases)


def _lists(deltas: Deltas) -> dict[ProductId, list[int | str]]:
    """Collect the sessions that touched each product, as pairs of time and session, flat."""
    lists: dict[ProductId, list[int | str]] = {}
    for (product_id, key), at_ms in deltas.index.items():
        lists.setdefault(product_id, []).extend((at_ms, member(key)))
    return lists


def _catalogue(deltas: Deltas) -> list[tuple[ProductId, list[str | int], list[str]]]:
    """Collect, for each product, its new facts as name, value and time, and its sales as time and units, both flat."""
    sales = by_product(deltas.sales)
    return [
        (
            product_id,
            [part for name, (value, at_ms) in _facts(deltas, product_id).items() for part in (name, value, at_ms)],
            [str(number) for sale in sales.get(product_id, {}).items() for number in sale],
        )
        for product_id in {**deltas.listings, **sales}
    ]


def _facts(deltas: Deltas, product_id: ProductId) -> Mapping[str, LastWrite]:
    listing = deltas.listings.get(product_id)
    return {} if listing is None else listing.facts
