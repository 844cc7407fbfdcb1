"""RunExperiment: recommend to each customer in the way of their variant."""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.serving.recommend_products import RecommendProducts
from realtime_pipeline.application.serving.request import Request
from realtime_pipeline.application.serving.resolve_customers import resolve_customers
from realtime_pipeline.domain.recommendation.experiments import Experiment
from realtime_pipeline.domain.recommendation.service import Recommendations

BATCH_REQUESTS_MAX: Final = 32
"""How many requests are answered with one another at most."""


class RunExperiment:
    """Has a recommender for every variant, and one for where there is no experiment."""

    def __init__(
        self,
        customers: CustomerQueries,
        experiment: Experiment,
        variants: Mapping[str, RecommendProducts],
        otherwise: RecommendProducts,
    ) -> None:
        self._customers = customers
        self._experiment = experiment
        self._variants = variants
        self._otherwise = otherwise

    def __call__(self, request: Request) -> Recommendations:
        """Recommend products; the list says by which variant. A visitor who signed in gets that of the customer."""
        return self.all([request])[0]

    def all(self, requests: Sequence[Request]) -> list[Recommendations]:
        """Answer requests, each as if it came alone; some at a time, so that what is read at once has an end."""
        return [
            found
            for begin in range(0, len(requests), BATCH_REQUESTS_MAX)
            for found in self._answer_batch(requests[begin : begin + BATCH_REQUESTS_MAX])
        ]

    def _answer_batch(self, requests: Sequence[Request]) -> list[Recommendations]:
        customers = resolve_customers(self._customers, [request.customer_id for request in requests])
        variants = [self._experiment.variant_of(customer.customer_id) for customer in customers]
        found: dict[int, Recommendations] = {}
        for variant in dict.fromkeys(variants):
            numbers = [number for number, one in enumerate(variants) if one == variant]
            recommender = self._variants[variant] if variant else self._otherwise
            lists = recommender.for_customers([(customers[number], requests[number]) for number in numbers])
            if variant:
                lists = [attrs.evolve(one, experiment=self._experiment.name, variant=variant) for one in lists]
            found.update(zip(numbers, lists, strict=True))
        return [found[number] for number in range(len(requests))]
