"""RunExperiment: recommend to each customer with the settings of their variant."""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.serving.recommend_products import RecommendProducts
from realtime_pipeline.application.serving.request import Request
from realtime_pipeline.application.serving.resolve_customers import resolve_customers
from realtime_pipeline.domain.recommendation.experiments import Experiment
from realtime_pipeline.domain.recommendation.recommendations import Recommendations

BATCH_REQUESTS_MAX: Final = 32
"""How many requests are answered in one batch: it bounds what one batch reads."""


class RunExperiment:
    """Routes each request to the recommender of the customer's variant; without an experiment, to the default."""

    def __init__(
        self,
        customers: CustomerQueries,
        experiment: Experiment,
        variants: Mapping[str, RecommendProducts],
        default: RecommendProducts,
    ) -> None:
        self._customers = customers
        self._experiment = experiment
        self._variants = variants
        self._default = default

    def __call__(self, request: Request) -> Recommendations:
        """Answer one request; the list names its variant. A visitor who signed in gets the variant of the customer."""
        return self.all([request])[0]

    def all(self, requests: Sequence[Request]) -> list[Recommendations]:
        """Answer requests in batches, each request as if it came alone."""
        return [
            recommendations
            for begin in range(0, len(requests), BATCH_REQUESTS_MAX)
            for recommendations in self._answer_batch(requests[begin : begin + BATCH_REQUESTS_MAX])
        ]

    def _answer_batch(self, requests: Sequence[Request]) -> list[Recommendations]:
        customers = resolve_customers(self._customers, [request.customer_id for request in requests])
        variants = [self._experiment.variant_of(customer.customer_id) for customer in customers]
        answers: dict[int, Recommendations] = {}
        for variant in dict.fromkeys(variants):
            numbers = [number for number, name in enumerate(variants) if name == variant]
            recommender = self._variants[variant] if variant else self._default
            lists = recommender.for_customers([(customers[number], requests[number]) for number in numbers])
            if variant:
                lists = [attrs.evolve(answer, experiment=self._experiment.name, variant=variant) for answer in lists]
            answers.update(zip(numbers, lists, strict=True))
        return [answers[number] for number in range(len(requests))]
