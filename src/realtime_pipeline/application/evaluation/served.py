"""The model that is served, on lists in memory: it calls the functions that answer a shop's requests."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from realtime_pipeline.application.evaluation.model import Model, Scores
from realtime_pipeline.application.evaluation.visits import Touch
from realtime_pipeline.application.serving.candidate_sources import CANDIDATES_MAX
from realtime_pipeline.domain.profile.session import Session, SessionKey, SessionSummary
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.recommendation.neighbours import (
    NeighbourScores,
    NeighbourSettings,
    inverse_document_frequency,
    nearest_sessions,
    score_products,
)
from realtime_pipeline.domain.recommendation.service import VIEW_WEIGHT
from realtime_pipeline.domain.shop.events import ProductId


class ServedModel(Model):
    """Recommends by neighbour sessions, as the settings say. Other candidate sources (trending) are left out.

    All of the visitor's own touches count as views, because a protocol names the touched products and no more.
    """

    def __init__(self, settings: NeighbourSettings, profile: ProfileSettings | None = None) -> None:
        self._settings = settings
        self._profile = profile or ProfileSettings()
        self._keys: dict[str, SessionKey] = {}
        self._sessions: dict[SessionKey, Session] = {}
        self._summaries: dict[SessionKey, SessionSummary] = {}
        self._sessions_by_product: dict[ProductId, dict[SessionKey, int]] = defaultdict(dict)
        self._newest_sessions: dict[ProductId, dict[SessionKey, int]] = {}
        self._interactions: Counter[ProductId] = Counter()
        self._total = 0

    def learn(self, touch: Touch) -> None:
        """Fold the touch into its session, and add the session to the product's list."""
        product_id, at_ms = touch.product_id, touch.at_ms
        key = self._keys.setdefault(touch.visit, SessionKey(len(self._keys)))
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = Session(key, touch.visit, at_ms, at_ms)
        session.touch(at_ms)
        session.add(product_id, at_ms, self._profile.interest_weight(touch.kind), self._profile.session_products_max)
        self._summaries[key] = session.summary()
        self._sessions_by_product[product_id][key] = at_ms
        self._newest_sessions.pop(product_id, None)
        self._interactions[product_id] += 1
        self._total += 1

    def scores(self, visit: str, products: Sequence[ProductId], at_ms: int) -> Scores:
        """Score the candidates of the nearest sessions."""
        best = self._scored(visit, products).best(CANDIDATES_MAX)
        return {candidate.product_id: candidate.score for candidate in best}

    def recommend(self, visit: str, products: Sequence[ProductId], at_ms: int, limit: int) -> list[ProductId]:
        """List the best candidates, also more than `CANDIDATES_MAX`."""
        return [candidate.product_id for candidate in self._scored(visit, products).best(limit)]

    def _scored(self, visit: str, products: Sequence[ProductId]) -> NeighbourScores:
        session: dict[ProductId, int] = {}
        for product_id in products:
            session.pop(product_id, None)
            session[product_id] = VIEW_WEIGHT
        lists = {product_id: self._newest(product_id) for product_id in list(session)[-self._settings.last :]}
        own = {self._keys[visit]} if visit in self._keys else set()
        neighbours = nearest_sessions(session, lists, self._settings, own)
        found = score_products(session, neighbours, self._summaries, self._settings)
        idf = {
            product_id: inverse_document_frequency(self._interactions[product_id], self._total)
            for product_id in found.scores
        }
        return found.weighted_by_idf(idf, self._settings.idf_weight)

    def _newest(self, product_id: ProductId) -> dict[SessionKey, int]:
        known = self._newest_sessions.get(product_id)
        if known is None:
            listed = self._sessions_by_product.get(product_id, {})
            newest = sorted(((at_ms, key) for key, at_ms in listed.items()), reverse=True)[: self._settings.m]
            known = self._newest_sessions[product_id] = {key: at_ms for at_ms, key in newest}
        return known
