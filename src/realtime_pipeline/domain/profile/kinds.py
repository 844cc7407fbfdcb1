"""The kinds of events by short names: the fold compares them several times for every event."""

from typing import Final

from realtime_pipeline.domain.shop.events import EventKind

VIEWED: Final = EventKind.PRODUCT_VIEWED
CARTED: Final = EventKind.PRODUCT_CARTED
UNCARTED: Final = EventKind.PRODUCT_UNCARTED
PURCHASED: Final = EventKind.PRODUCT_PURCHASED
CANCELLED: Final = EventKind.PURCHASE_CANCELLED
REVIEWED: Final = EventKind.PRODUCT_REVIEWED
SHOWN: Final = EventKind.RECOMMENDATIONS_SHOWN
SIGNED_IN: Final = EventKind.CUSTOMER_SIGNED_IN
FORGOTTEN: Final = EventKind.CUSTOMER_FORGOTTEN
PRODUCT_UPDATED: Final = EventKind.PRODUCT_UPDATED
PRODUCT_REMOVED: Final = EventKind.PRODUCT_REMOVED
STOCK_SET: Final = EventKind.STOCK_SET
