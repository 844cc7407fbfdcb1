"""The model that is served, on lists in memory: the same functions that answer a shop's requests."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from harness.evaluation.models import Model, Scores
from harness.evaluation.visits import Touch
from realtime_pipeline.application.serving.candidate_sources import CANDIDATES_MAX
from realtime_pipeline.domain.profile.session import Session, SessionKey, SessionSummary
from realtime_pipeline.domain.profile.settings import ProfileSettings
from realtime_pipeline.domain.recommendation.neighbours import NeighbourScores as Found
from realtime_pipeline.domain.recommendation.neighbours import (
    NeighbourSettings,
    inverse_document_frequency,
    nearest_sessions,
    score_products,
)
from realtime_pipeline.domain.recommendation.service import VIEW_WEIGHT
from realtime_pipeline.domain.shop.events import ProductId


class Served(Model):
    """Session neighbours by the settings; what else is served (trending) comes behind them and is left out here.

    The visitor's own touches all count as looks, as the protocols say which products they touched and no more.
    """

    def __init__(self, settings: NeighbourSettings, profile: ProfileSettings | None = None) -> None:
        self._settings = settings
        self._profile = profile or ProfileSettings()
        self._keys: dict[str, SessionKey] = {}
        self._sessions: dict[SessionKey, Session] = {}
        self._trails: dict[SessionKey, SessionSummary] = {}
        self._listed: dict[ProductId, dict[SessionKey, int]] = defaultdict(dict)
        self._lists: dict[ProductId, dict[SessionKey, int]] = {}
        self._interactions: Counter[ProductId] = Counter()
        self._total = 0

    def see(self, touch: Touch) -> None:
        """Fold the touch into its session, and list the session with the product."""
        product_id, at_ms = ProductId(touch.product_id), touch.at_ms
        key = self._keys.setdefault(touch.visit, SessionKey(len(self._keys)))
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = Session(key, touch.visit, at_ms, at_ms)
        session.touch(at_ms)
        session.add(product_id, at_ms, self._profile.interest_weight(touch.kind), self._profile.session_products_max)
        self._trails[key] = session.summary()
        self._listed[product_id][key] = at_ms
        self._lists.pop(product_id, None)
        self._interactions[product_id] += 1
        self._total += 1

    def scores(self, visit: str, products: Sequence[str], at_ms: int) -> Scores:
        """What the nearest sessions say."""
        return {one.product_id: one.score for one in self._scored(visit, products).best(CANDIDATES_MAX)}

    def recommend(self, visit: str, products: Sequence[str], at_ms: int, limit: int) -> list[str]:
        """The best of them, however many."""
        return [one.product_id for one in self._scored(visit, products).best(limit)]

    def _scored(self, visit: str, products: Sequence[str]) -> Found:
        session: dict[ProductId, int] = {}
        for product_id in map(ProductId, products):
            session.pop(product_id, None)
            session[product_id] = VIEW_WEIGHT
        lists = {product_id: self._list(product_id) for product_id in list(session)[-self._settings.last :]}
        own = {self._keys[visit]} if visit in self._keys else set()
        neighbours = nearest_sessions(session, lists, self._settings, own)
        found = score_products(session, neighbours, self._trails, self._settings)
        rarities = {
            product_id: inverse_document_frequency(self._interactions[product_id], self._total)
            for product_id in found.scores
        }
        return found.weighted_by_idf(rarities, self._settings.idf_weight)

    def _list(self, product_id: ProductId) -> dict[SessionKey, int]:
        known = self._lists.get(product_id)
        if known is None:
            listed = self._listed.get(product_id, {})
            newest = sorted(((at_ms, key) for key, at_ms in listed.items()), reverse=True)[: self._settings.m]
            known = self._lists[product_id] = {key: at_ms for at_ms, key in newest}
        return known
