"""Converting money to the shop's currency, by a table of dated rates."""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from realtime_pipeline.domain.mapping.definitions import ExchangeRate
from realtime_pipeline.domain.shop.money import CURRENCIES


class UnknownRate(Exception):
    """An amount is in a currency for which there is no rate; the message says what to do."""


class Rates:
    """The shop's currency, and what others are worth in it.

    Raises:
        ValueError: a rate is of an unknown currency, or there is no currency of the shop.
    """

    def __init__(self, currency: str, rates: Iterable[ExchangeRate]) -> None:
        self.currency = currency
        self._by_currency: dict[str, list[tuple[int, Decimal]]] = {}
        for rate in rates:
            if rate.currency not in CURRENCIES:
                raise ValueError(f'exchange_rates: "{rate.currency}" is no currency code of ISO 4217')
            begin_ms = int(datetime(rate.since.year, rate.since.month, rate.since.day, tzinfo=UTC).timestamp()) * 1_000
            self._by_currency.setdefault(rate.currency, []).append((begin_ms, Decimal(repr(rate.rate))))
        if self._by_currency and not currency:
            raise ValueError("exchange_rates need the shop's currency: set currency")
        for code, dated in self._by_currency.items():
            dated.sort()
            if len({begin_ms for begin_ms, _ in dated}) < len(dated):
                raise ValueError(f"exchange_rates: {code} has two rates of one day")

    def rate(self, currency: str, at_ms: int) -> Decimal | None:
        """What a unit of a currency is worth at a time; None for the shop's own currency.

        Raises:
            UnknownRate: there is no rate for it, or none that early.
        """
        if currency == self.currency:
            return None
        dated = self._by_currency.get(currency, [])
        index = bisect_right(dated, at_ms, key=lambda entry: entry[0])
        if index == 0:
            day = datetime.fromtimestamp(at_ms / 1_000, UTC).date() if dated else None
            when = f" on {day}" if day else ""
            raise UnknownRate(
                f'unknown_rate: no exchange rate of "{currency[:8]}" to "{self.currency}"{when}: add it to '
                "exchange_rates, and set currency to the shop's"
            )
        return dated[index - 1][1]
