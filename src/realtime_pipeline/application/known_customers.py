"""Reading a customer by any name they are known by."""

from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.domain.shop.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId


def known_customer(cells: CellStore, customer_id: CustomerId) -> Customer:
    """Read a customer, a blank one where nothing is known; for a visitor who has signed in, whom they turned out to
    be."""
    customer = cells.customer(customer_id) or Customer(customer_id)
    if customer.forwards_to is not None:
        return cells.customer(customer.forwards_to) or Customer(customer.forwards_to)
    return customer
