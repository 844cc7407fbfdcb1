"""The customers that `demo` and `replay` show."""

import heapq

from realtime_pipeline import Pipeline
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.shop.events import CustomerId


def most_active(pipeline: Pipeline, limit: int) -> list[CustomerId]:
    """The customers with the most events (of equal numbers: the smaller id first)."""

    def rank(customer: Customer) -> tuple[int, str]:
        return (-sum(customer.visits.counts.values()), customer.customer_id)

    customers = pipeline.container.customer_queries().scan()
    first = heapq.nsmallest(limit, ((rank(customer), customer.customer_id) for customer in customers))
    return [customer_id for _, customer_id in first]
