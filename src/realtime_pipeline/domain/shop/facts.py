"""The facts that a shop's catalogue states of a product, by name; each value is text."""

from typing import Final

NAME: Final = "name"
CATEGORY: Final = "category"
PRICE: Final = "price"
"""In ten-thousandths of the currency's unit, in decimal."""
IMAGE_URL: Final = "image_url"
TEXT: Final = "text"
STOCK: Final = "stock"
"""The units on the shelf at the time of the fact, in decimal."""
IN_STOCK: Final = "in_stock"
"""`YES` or `NO`: of shops that count no units."""
REMOVED: Final = "removed"
"""`YES` once the shop no longer sells the product; `NO` once it is listed (again)."""

YES: Final = "1"
NO: Final = "0"

TEXT_LENGTH_MAX: Final = 2_000
"""The longest text or image URL, in characters."""
UNITS_MAX: Final = 10**12
"""The largest stock."""
