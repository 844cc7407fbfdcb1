"""RunExperiment: recommend to each customer in the way of their variant."""

from collections.abc import Mapping

import attrs

from realtime_pipeline.application.recommend_products import RecommendProducts, Request
from realtime_pipeline.domain.recommendation.experiments import Experiment
from realtime_pipeline.domain.recommendation.service import Recommendations


class RunExperiment:
    """Has a recommender for every variant, and one for where there is no experiment."""

    def __init__(
        self, experiment: Experiment, variants: Mapping[str, RecommendProducts], otherwise: RecommendProducts
    ) -> None:
        self._experiment = experiment
        self._variants = variants
        self._otherwise = otherwise

    def __call__(self, request: Request) -> Recommendations:
        """Recommend products; the list says by which variant."""
        variant = self._experiment.variant_of(request.customer_id)
        if not variant:
            return self._otherwise(request)
        return attrs.evolve(self._variants[variant](request), experiment=self._experiment.name, variant=variant)
