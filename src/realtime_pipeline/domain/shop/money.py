"""Exact money: whole ten-thousandths of the shop's currency, so that sums never round."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import Final, NewType

Amount = NewType("Amount", int)
"""Money in ten-thousandths of a unit: 12.50 is 125_000."""

PER_UNIT: Final = 10_000

LARGEST: Final = 2**63 - 1
"""The largest sum that stores can hold: that of some million of the largest events."""

_EXACT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)
"""A double's shortest form has at most 17 digits, a quantity 16: no product is rounded before the end."""

_FLOAT_ERROR: Final = 2.0**-50
"""Bound on the relative error of price x quantity x 10,000 in floats: the double, and each step, within 2^-53."""


def bounded(amount: int) -> int:
    """Limit a sum to what stores can hold."""
    return max(-LARGEST, min(LARGEST, amount))


def line_total(price: float, quantity: int = 1) -> Amount:
    """Multiply a price by a quantity, then round once, half to even, to whole ten-thousandths.

    The price is the shortest decimal number that its double is written as. Floats decide all products but ties and
    those close to a tie, which are computed in decimals.
    """
    product = price * quantity * PER_UNIT
    rounded = round(product)
    if 0.5 - abs(product - rounded) > product * _FLOAT_ERROR:
        return Amount(rounded)
    exact = _EXACT.multiply(Decimal(repr(price)), Decimal(quantity * PER_UNIT))
    return Amount(int(exact.to_integral_value(ROUND_HALF_EVEN, _EXACT)))


def is_over(price: float, quantity: int, limit: int) -> bool:
    """Whether price x quantity, before rounding, is more than a limit in whole units."""
    product, most = price * quantity, float(limit)
    if abs(product - most) > most * _FLOAT_ERROR:
        return product > most
    return _EXACT.multiply(Decimal(repr(price)), Decimal(quantity)) > limit


def price_of_one(total: float, quantity: int) -> Amount:
    """Divide the total of a line by its quantity, then round once, half to even, to whole ten-thousandths."""
    if quantity == 1:
        return line_total(total)
    return Amount(round(Fraction(repr(total)) * PER_UNIT / quantity))


_CODES: Final = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW
    CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL
    HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA
    MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD
    RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD
    USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
    ANG BGN CUC HRK
"""
CURRENCIES: Final = frozenset(_CODES.split())
"""The codes of ISO 4217 in use, and some that old orders have."""

DECIMALS_USUAL: Final = 2
_NO_DECIMALS: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DECIMALS: Final = "BHD IQD JOD KWD LYD OMR TND"
_FOUR_DECIMALS: Final = "CLF UYW"
_DECIMALS: Final = {
    code: decimals
    for decimals, codes in ((0, _NO_DECIMALS), (3, _THREE_DECIMALS), (4, _FOUR_DECIMALS))
    for code in codes.split()
}


def decimals_of(currency: str) -> int:
    """Return how many decimals amounts of a currency are written with; 2 for "".

    Raises:
        ValueError: there is no such currency.
    """
    if currency and currency not in CURRENCIES:
        raise ValueError(f'currency is a code of ISO 4217 such as "EUR", or "", not "{currency}"')
    return _DECIMALS.get(currency, DECIMALS_USUAL)


def as_number(amount: int) -> float:
    """Return an amount as a number of units, as events have it: 12.5 for 125_000.

    Its shortest decimal form has the amount's four decimals exactly below 100,000,000,000 units; larger sums are
    rounded to the nearest double.
    """
    return amount / PER_UNIT


def in_units(amount: int, decimals: int = DECIMALS_USUAL) -> str:
    """Write an amount as text, rounded half to even to so many decimals (at most 4)."""
    step = 10 ** (4 - decimals)
    whole, rest = divmod(abs(amount), step)
    whole += rest * 2 > step or (rest * 2 == step and whole % 2 == 1)
    units, part = divmod(whole, 10**decimals)
    sign = "-" if amount < 0 and whole else ""
    return f"{sign}{units:,}.{part:0{decimals}d}" if decimals else f"{sign}{units:,}"
