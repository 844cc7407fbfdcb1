"""All English of results: profiles, lists and receipts as lines of text, for commands and demos."""

from collections.abc import Iterator, Mapping, Sequence

from realtime_pipeline.application.ingestion.check_events import CheckReport
from realtime_pipeline.application.ingestion.import_catalogue import CatalogueImport
from realtime_pipeline.application.maintenance.follow_forgetting import Progress
from realtime_pipeline.application.maintenance.forget_customer import Receipt
from realtime_pipeline.application.maintenance.retained import Retained, RetainedCode, RetainedUntil
from realtime_pipeline.application.serving.show_customer import Profile
from realtime_pipeline.application.serving.top_rated import TopRated
from realtime_pipeline.domain.mapping.columns import LOG_LINE
from realtime_pipeline.domain.mapping.compiled import UNMAPPED
from realtime_pipeline.domain.plurals import counted, numbered
from realtime_pipeline.domain.recommendation.recommendations import Recommendation
from realtime_pipeline.domain.shop.events import CUSTOM, EventKind
from realtime_pipeline.domain.shop.ids import JOINER
from realtime_pipeline.domain.shop.money import DECIMALS_USUAL, in_units
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.shop.times import utc_text
from realtime_pipeline.domain.streams.effects import RecordClass

KINDS = {
    EventKind.PRODUCT_VIEWED: ("view", "views"),
    EventKind.PRODUCT_CARTED: ("put in the cart", "put in the cart"),
    EventKind.PRODUCT_UNCARTED: ("taken out of it", "taken out of it"),
    EventKind.PRODUCT_PURCHASED: ("purchase", "purchases"),
    EventKind.PURCHASE_CANCELLED: ("cancellation", "cancellations"),
    EventKind.PRODUCT_REVIEWED: ("review", "reviews"),
    EventKind.RECOMMENDATIONS_SHOWN: ("list shown", "lists shown"),
    EventKind.CUSTOMER_SIGNED_IN: ("sign-in", "sign-ins"),
    EventKind.PRODUCT_UPDATED: ("product update", "product updates"),
    EventKind.PRODUCT_REMOVED: ("product removal", "product removals"),
    EventKind.STOCK_SET: ("stock level", "stock levels"),
}
"""The singular and the plural of each kind of event."""

SHOWN_CHARACTERS = 100
"""How many characters of a dead letter are shown."""
SHOWN_TYPES = 65
"""How many event types are named."""
SHOWN_FIELDS = 12
"""How many fields without a meaning are shown."""


def recommendations_in_words(
    recommendations: Sequence[Recommendation], decimals: int = DECIMALS_USUAL
) -> Iterator[str]:
    """Write recommendations, two lines each: product and score, then the explanation and the adjustments.

    Args:
        recommendations: the list.
        decimals: how many decimals prices are written with.
    """
    for number, entry in enumerate(recommendations, start=1):
        yield plain(f"{number:>3}. {product_in_words(entry.product, decimals)}  [{entry.score:,.1f}]")
        yield plain(f"     {'; '.join((entry.explanation, *entry.adjustments))}")


def receipt_in_words(receipt: Receipt) -> Iterator[str]:
    """Write the receipt of an erasure: its progress, what is left, or what was erased and what stays."""
    request = receipt.forgetting
    left = [counted(count, code.replace("_", " ").removesuffix("s")) for code, count in receipt.left.items() if count]
    if receipt.progress is Progress.QUEUED:
        yield f"  waiting for the worker: {counted(receipt.records_before, 'record')} before it"
    elif receipt.progress is Progress.FOLLOWED:
        yield "  waiting for the worker: the profile is erased, views and outputs have not followed yet"
    if left:
        yield f"  still there: {', '.join(left)}"
    elif receipt.is_done:
        erased = ((request.events, "event"), (len(request.sessions), "session"), (request.reviews, "review"))
        yield f"  erased: {', '.join(counted(number, name) for number, name in erased)}"
        yield from (plain(f"  stays: {_retained_in_words(retained)}") for retained in receipt.stays)


_RETAINED: Mapping[RetainedCode, str] = {
    RetainedCode.AGGREGATES: "what all customers' events add up to: views, purchases and ratings of products",
    RetainedCode.DIGEST: "a digest of the id with the time, so that a replay brings nothing back",
    RetainedCode.SESSION_KEYS: "keys of erased sessions in the lists of products, until newer ones push them out",
    RetainedCode.UNATTRIBUTED_DEAD_LETTERS: "dead letters whose customer cannot be read, such as truncated lines",
}
"""Retained data without parameters."""


def _retained_in_words(retained: Retained) -> str:
    """Write what stays after an erasure, and how long."""
    letters = counted(retained.count or 0, "dead letter")
    match retained.code:
        case RetainedCode.LOG:
            return f"what was published, {_log_in_words(retained)}"
        case RetainedCode.OUTBOX:
            seconds = (retained.for_ms or 0) / 1000
            return f"the outbox of each commit, for {seconds:g} s, and until a worker runs after that"
        case RetainedCode.MISROUTED_DEAD_LETTERS:
            return f"{letters}, in a partition of other customers"
        case RetainedCode.DEAD_LETTERS:
            return f"{letters}, until the retention of their topic ends"
        case RetainedCode.LATE_EVENTS:
            return f"{counted(retained.count or 0, 'late event')}, until the retention of their topic ends"
        case _:
            return _RETAINED[retained.code]


def _log_in_words(retained: Retained) -> str:
    match retained.until:
        case RetainedUntil.TOPIC_RETENTION:
            return f"in topic {retained.where}, until its retention ends"
        case RetainedUntil.FILE_DELETED:
            return f"in the log of {retained.where} and in backups of it, until the file is deleted"
        case RetainedUntil.LOG_RETENTION:
            return (
                f"in the log of {retained.where} and in backups of it, until log_retention ends it; "
                "a backup until it is deleted"
            )
        case _:
            return "until this process ends"


def ratings_in_words(rated: Sequence[TopRated], decimals: int = DECIMALS_USUAL) -> Iterator[str]:
    """Write products with their ratings, a line each."""
    for number, entry in enumerate(rated, start=1):
        stars = f"{entry.average:.2f} stars, by {counted(entry.ratings, 'rating')}"
        yield plain(f"{number:>3}. {product_in_words(entry.product, decimals)}  [{stars}]")


def product_in_words(product: Product, decimals: int = DECIMALS_USUAL) -> str:
    """Write a product: its name, category and price."""
    parts = [product.title]
    if product.category is not None:
        parts.append(f"({product.category})")
    if product.price is not None:
        parts.append(in_units(product.price, decimals))
    return plain(" ".join(parts))


def listing_in_words(product: Product, decimals: int = DECIMALS_USUAL) -> Iterator[str]:
    """Write what is known of a product, a line each: name, category and price, stock, image, text."""
    yield plain(product_in_words(product, decimals))
    if product.is_removed:
        yield "  removed from the catalogue: it is not recommended"
    if product.stock is not None:
        yield f"  stock: {counted(product.stock, 'unit')} left"
    if product.in_stock is not None:
        yield f"  in stock: {'yes' if product.in_stock else 'no'}"
    for name, value in (("image", product.image_url), ("text", product.text)):
        if value is not None:
            yield plain(f"  {name}: {value}")


def import_in_words(done: CatalogueImport) -> Iterator[str]:
    """Write what an import of products did."""
    were = numbered(done.published, "event was", "events were")
    yield f"{done.published:,} {were} published, of {counted(done.products, 'product')}"
    if done.removed:
        yield f"{counted(done.removed, 'product')} removed, which the source does not have"
    if done.invalid:
        yield plain(f"{done.invalid:,} invalid: the worker makes dead letters of them; the first: {done.first_invalid}")


def plain(text: str) -> str:
    """Remove characters that are not printable: text from outside must not control a terminal."""
    return "".join(character for character in text if character.isprintable() or character == JOINER)


def profile_in_words(profile: Profile, decimals: int = DECIMALS_USUAL) -> Iterator[str]:
    """Write a profile, a line for each fact."""
    return map(plain, _profile_lines(profile, decimals))


def _profile_lines(profile: Profile, decimals: int) -> Iterator[str]:
    customer, visits, purchases = profile.customer, profile.customer.visits, profile.customer.purchases
    yield f"customer {customer.customer_id}"
    if visits.first_seen_ms is not None and visits.last_seen_ms is not None:
        yield f"  seen       {utc_text(visits.first_seen_ms)} to {utc_text(visits.last_seen_ms)}"
    custom = [kind for kind in sorted(visits.counts) if kind.is_custom]
    done = (counted(count, *_kind_in_words(kind)) for kind in (*KINDS, *custom) if (count := visits.counts.get(kind)))
    yield f"  did        {', '.join(done) or 'nothing yet'}"
    if visits.excluded:
        yield f"  excluded   {counted(visits.excluded, 'event')}, for this profile alone (quality.exclude)"
    if purchases.units or purchases.orders_placed:
        orders = f"{counted(purchases.units, 'piece')} in {counted(purchases.orders_placed, 'order')}"
        yield f"  bought     {orders} for {in_units(purchases.spend, decimals)}"
    yield f"  sessions   {visits.sessions_begun:,}"
    if visits.country is not None:
        yield f"  is in      {visits.country[0]}"
    if profile.categories:
        yield f"  likes      {', '.join(f'{name} ({score:.1f})' for name, score in profile.categories[:5])}"
    if profile.recent:
        yield f"  lately     {'; '.join(product.title for product in profile.recent[:5])}"
    for review in profile.reviews[:3]:
        product = profile.products.get(review.product_id, Product(review.product_id))
        text = f": {review.text}" if review.text else ""
        yield f"  rated      {product.title} {'★' * review.rating}{text}"


def check_in_words(report: CheckReport, decimals: int = DECIMALS_USUAL) -> Iterator[str]:
    """Write what a file's records would become: classes, reasons with examples, fields, time, customers and money."""
    yield f"{counted(report.records, 'record')} read: {counted(report.events, 'event')}"
    for class_, words in CLASSES.items():
        if count := report.counts.get(class_, 0):
            yield f"  {count:>12,} {words[-1] if len(words) > 1 else numbered(count, words[0], words[0] + 's')}"
    if report.messages:
        yield f"  {counted(report.messages, 'of them is a message', 'of them are messages')} about visitors who sign in"
    if report.first_ms is not None and report.last_ms is not None:
        yield f"from {utc_text(report.first_ms)} to {utc_text(report.last_ms)}"
    kinds = (counted(count, *_kind_in_words(kind)) for kind, count in report.kinds.items())
    yield plain(f"applied: {', '.join(kinds) or 'nothing'}")
    if report.excluded:
        yield f"excluded: {counted(report.excluded, 'event')}, for their customers' profiles alone (quality.exclude)"
    who = f"{counted(report.customers, 'customer')}, {counted(report.visitors, 'visitor')}"
    yield f"{who}, {counted(report.products, 'product')}, {counted(report.orders, 'order')}"
    money = f"sold for {in_units(report.spend, decimals)}, refunded {in_units(report.refunds, decimals)}"
    yield f"{counted(report.units, 'piece')} bought, refunds taken off; {money}"
    for code, count in sorted(report.reasons.items(), key=lambda item: (-item[1], item[0])):
        yield plain(f"dead letters {code}: {count:,}")
        for example in report.examples[code]:
            yield plain(f"  {example.origin}: {example.reason}")
            yield plain(f"      {example.begin[:SHOWN_CHARACTERS]}")
    yield from ignored_in_words(report.ignored_types)
    yield from left_out_in_words(0, report.left_out)
    if report.missing_paths:
        named = "; ".join(f"{name} ({paths})" for name, paths in report.missing_paths.items())
        yield plain(f"paths of the mapping without a value: {named}")
    for name, (count, meant) in list(report.unknown_fields.items())[:SHOWN_FIELDS]:
        yield plain(f"no meaning here: {name} in {counted(count, 'event')}" + (f" ({meant}?)" if meant else ""))


def _kind_in_words(kind: EventKind) -> tuple[str, str]:
    name = kind.removeprefix(CUSTOM)
    return KINDS.get(kind, (name, name))


def counts_in_words(counts: Mapping[RecordClass, int]) -> str:
    """Write the number of records in each class."""
    classes = (counted(counts.get(name, 0), *words) for name, words in CLASSES.items())
    return f"{counted(sum(counts.values()), 'record')}: {', '.join(classes)}"


def ignored_in_words(types: Mapping[str, int]) -> Iterator[str]:
    """Write the event types that were ignored, the most frequent first, and what to do; no line if there are none."""
    if types:
        ordered = sorted(types.items(), key=lambda item: (-item[1], item[0]))
        named = ", ".join(f"{name or EMPTY} {count:,}" for name, count in ordered[:SHOWN_TYPES])
        if len(ordered) > SHOWN_TYPES:
            named += f" and {len(ordered) - SHOWN_TYPES:,} more"
        is_unmapped = any(name.startswith(UNMAPPED) for name in types)
        where = (
            "the mapping"
            if is_unmapped
            else "[event_types]" + (", or name it in events.custom" if LOG_LINE in types else "")
        )
        yield plain(f"ignored types: {named.replace(UNMAPPED, '')}; map them in {where}")


def left_out_in_words(copies: int, types: Mapping[str, int]) -> Iterator[str]:
    """Write what a call did not publish: copies that workers made, and types that the mapping ignores."""
    if copies:
        yield f"{counted(copies, 'line is a copy', 'lines are copies')} made by a worker: skipped"
    if types:
        ordered = sorted(types.items(), key=lambda item: (-item[1], item[0]))
        yield plain("left out by the mapping: " + ", ".join(f"{name} {count:,}" for name, count in ordered))


EMPTY = '""'
"""How a type without a name is written."""

CLASSES: Mapping[RecordClass, tuple[str, ...]] = {
    RecordClass.APPLIED: ("applied", "applied"),
    RecordClass.DUPLICATE: ("duplicate",),
    RecordClass.IGNORED: ("ignored", "ignored"),
    RecordClass.FORGOTTEN: ("forgotten", "forgotten"),
    RecordClass.FORWARDED: ("forwarded", "forwarded"),
    RecordClass.DEAD_LETTER: ("dead letter",),
    RecordClass.CONTROL: ("control", "control"),
}
