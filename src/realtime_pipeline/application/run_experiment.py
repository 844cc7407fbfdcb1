"""RunExperiment: recommend to each customer in the way of their variant."""

from collections.abc import Mapping

import attrs

from realtime_pipeline.application.known_customer import known_customer
from realtime_pipeline.application.ports.cell_store import CellStore
from realtime_pipeline.application.recommend_products import RecommendProducts, Request
from realtime_pipeline.domain.recommendation.experiments import Experiment
from realtime_pipeline.domain.recommendation.service import Recommendations


class RunExperiment:
    """Has a recommender for every variant, and one for where there is no experiment."""

    def __init__(
        self,
        cells: CellStore,
        experiment: Experiment,
        variants: Mapping[str, RecommendProducts],
        otherwise: RecommendProducts,
    ) -> None:
        self._cells = cells
        self._experiment = experiment
        self._variants = variants
        self._otherwise = otherwise

    def __call__(self, request: Request) -> Recommendations:
        """Recommend products; the list says by which variant. A visitor who signed in gets that of the customer."""
        customer = known_customer(self._cells, request.customer_id)
        variant = self._experiment.variant_of(customer.customer_id)
        if not variant:
            return self._otherwise.to(customer, request)
        found = self._variants[variant].to(customer, request)
        return attrs.evolve(found, experiment=self._experiment.name, variant=variant)
