"""Pipeline: the whole program as one object, for programs that import it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from realtime_pipeline.analytics import Analytics
from realtime_pipeline.application.serving.request import Request, checked_country
from realtime_pipeline.application.serving.request_checks import (
    bounded_limit,
    checked_customer_id,
    checked_exposure,
    checked_product_id,
    checked_request,
    checked_requests,
)
from realtime_pipeline.application.serving.show_customer import Profile
from realtime_pipeline.application.serving.top_rated import TopRatedProducts
from realtime_pipeline.composition.container import Container, configured
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.recommendation.list_rules import ListRules
from realtime_pipeline.domain.recommendation.recommendations import Recommendation, Recommendations
from realtime_pipeline.domain.shop.product import Product
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.system.background_worker import BackgroundWorker


class Pipeline(Analytics):
    """Publish events, process them, and read profiles and recommendations.

    Every error in events, ids, files or stores is a `PipelineError`, whose message is one line that says what to do.
    Any number of threads and processes may publish and read; one thread of a pipeline may process. Every result has
    `as_dict()`, a JSON document. A catalogue that is swapped in raises errors of its own.
    """

    def __init__(self, settings: Settings | None = None, container: Container | None = None) -> None:
        """Make a pipeline; files and connections are opened at their first use.

        Args:
            settings: the log and store, and how they work; without them those of the container, or the defaults.
            container: the adapters behind the ports; without it those that the settings name.

        Raises:
            Unavailable: Kafka or Redis needs packages that are not installed, or the container is another pipeline's.
        """
        self.container = configured(Container() if container is None else container, settings)
        self._background = BackgroundWorker(self.container.worker)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close files and connections; records on their way to a log that does not respond are given up.

        In a process that was forked after the pipeline was used nothing is closed: it belongs to the parent process.
        """
        if self._background.is_of_this_process:
            self.container.resources().close()

    def process(self) -> Mapping[RecordClass, int]:
        """Process all records that have been published so far, in the calling thread.

        Returns:
            The number of records in each class, since the store was created.

        Raises:
            UnrecoverableState: going on would lose or double something, or another thread of this pipeline is
                processing.
            WrongLog: the store was built from another log.
            Unavailable: the log or the store does not respond.
            ProcessingFailed: the thread of `processing` has failed.
        """
        with self._background.alone():
            self.container.worker().catch_up()
        return self.container.customer_queries().counts()

    def close_windows(self) -> None:
        """Process all that is published, and make every window final that has an event: the end of a finite replay.

        Events that come later are late for these windows; they count in the windows after them.

        Raises:
            UnrecoverableState: other workers own partitions, or events kept coming; or as `process`.
            WrongLog: the store was built from another log.
            Unavailable: the log or the store does not respond.
            ProcessingFailed: the thread of `processing` has failed.
        """
        with self._background.alone():
            self.container.close_windows()()

    def processing(self, on_failure: Callable[[BaseException], object] | None = None) -> AbstractContextManager[None]:
        """Process records as they are published, in a thread of its own, until the `with` block ends.

        When the thread fails, every call of this pipeline within the block raises `ProcessingFailed`, and the end of
        the block raises the failure itself. On Kafka the pipeline owns its partitions until it is closed.

        Args:
            on_failure: called once, in that thread, with the failure.

        Returns:
            The context manager of the block.

        Raises:
            UnrecoverableState: another thread of this pipeline is processing; or, at the end of the block, going on
                would lose or double something.
            WrongLog: at the end of the block: the store was built from another log.
            Unavailable: at the end of the block: the log or the store did not respond.
            ProcessingFailed: the thread of an enclosing block has failed.
        """
        return self._background.running(on_failure)

    @property
    def is_processing(self) -> bool:
        """Whether the thread of `processing` is running."""
        return self._background.is_running

    def recommend(
        self,
        customer_id: str,
        limit: int = 10,
        looking_at: Sequence[str] = (),
        rules: ListRules | None = None,
        shown: Mapping[str, int] | None = None,
        country: str | None = None,
    ) -> Recommendations:
        """Recommend products to a customer, each with its reason; a new customer gets what is trending.

        Args:
            customer_id: a user id, or `anonymous:SESSION` for a visitor.
            limit: the length of the list, at least 1.
            looking_at: the products on the customer's screen, the newest last; they need no events yet.
            rules: the rules of the list; None for those of the settings.
            shown: how often each product was shown to the customer, if the shop knows better than the profile (see
                `record_exposure`).
            country: two letters (`"DE"`); None for the country of the customer's last event.

        Returns:
            At most `limit` recommendations, the best first.

        Raises:
            UnknownCustomer: no customer can have that id.
            UnknownProduct: no product can have one of the ids in `looking_at` or `shown`.
            ValueError: `limit` is less than 1, or `country` is not two letters.
            TypeError: `limit` is no whole number, `looking_at` no list, or `rules` no `ListRules`.
            Unavailable: the store does not respond.
            ProcessingFailed: the thread of `processing` has failed.
        """
        request = Request(customer_id, limit, looking_at, shown or {}, rules, country)
        return self._checked_container.run_experiment()(checked_request(request))

    def recommend_all(self, requests: Sequence[Request]) -> Sequence[Recommendations]:
        """Answer several requests, each as `recommend` would; they share their reads of the store.

        This takes less time than one request after the other, but no list is ready before all are. One invalid request
        fails them all: call `recommend` for ids that come from outside.

        Args:
            requests: any number of requests; 32 at a time are read together.

        Returns:
            A list for each request, in their order.

        Raises:
            UnknownCustomer: no customer can have one of the ids; the message gives the request's number, from 1.
            UnknownProduct: no product can have one of the ids; the message gives the request's number, from 1.
            TypeError: `requests` is no list of requests.
            Unavailable: the store does not respond.
            ProcessingFailed: the thread of `processing` has failed.
        """
        checked = checked_requests(requests)
        return self._checked_container.run_experiment().all(checked)

    def record_exposure(self, customer_id: str, shown: Sequence[Recommendation | str]) -> None:
        """Publish that a list was shown to a customer, for `shown_max` and for experiments.

        Args:
            customer_id: the customer who saw the list.
            shown: the list or a slice of it (`found[:3]`), which names its variant; a list of single recommendations,
                or of product ids, does not. An empty list publishes nothing.

        Raises:
            UnknownCustomer: no customer can have that id.
            UnknownProduct: no product can have one of the ids.
            InvalidEvents: there are more products than a list can have.
            TypeError: `shown` is no list of recommendations or ids.
            Unavailable: the log did not take the event.
            ProcessingFailed: the thread of `processing` has failed.
        """
        exposure = checked_exposure(shown)
        if exposure.products:
            self._checked_container.record_exposure()(checked_customer_id(customer_id), *exposure)

    def similar(self, product_id: str, limit: int = 10, rules: ListRules | None = None) -> Recommendations:
        """Recommend products for the page of a product; a new product gets what is trending.

        Args:
            product_id: the product on the page.
            limit: the length of the list, at least 1.
            rules: the rules of the list; None for those of the settings.

        Returns:
            At most `limit` recommendations, the best first.

        Raises:
            UnknownProduct: no product can have that id.
            ValueError: `limit` is less than 1.
            TypeError: `limit` is no whole number, or `rules` no `ListRules`.
            Unavailable: the store does not respond.
            ProcessingFailed: the thread of `processing` has failed.
        """
        return self._checked_container.recommend_products().similar(checked_product_id(product_id), limit, rules)

    def trending(self, limit: int = 10, country: str | None = None) -> Recommendations:
        """List what is trending in the whole shop, or in a country, of what passes the filters of the settings.

        Args:
            limit: the length of the list, at least 1.
            country: two letters (`"DE"`); None for the whole shop.

        Returns:
            At most `limit` products, the best first.

        Raises:
            ValueError: `limit` is less than 1, or `country` is not two letters.
            TypeError: `limit` is no whole number.
            Unavailable: the store does not respond.
            ProcessingFailed: the thread of `processing` has failed.
        """
        return self._checked_container.recommend_products().trending(bounded_limit(limit), checked_country(country))

    def top_rated(self, limit: int = 10) -> TopRatedProducts:
        """List the products rated highest, of what passes the filters of the settings.

        Args:
            limit: the length of the list, at least 1.

        Returns:
            At most `limit` products, each with the Bayesian average of its ratings in stars (1 to 5), the best first.

        Raises:
            ValueError: `limit` is less than 1.
            TypeError: `limit` is no whole number.
            Unavailable: the store does not respond.
            ProcessingFailed: the thread of `processing` has failed.
        """
        return self._checked_container.recommend_products().top_rated(bounded_limit(limit))

    def explain_empty(
        self, customer_id: str | None = None, product_id: str | None = None, country: str | None = None
    ) -> str:
        """Explain why a list without notes is empty, and what to do about it.

        It reads the ends of the log and the positions of the store, which takes longer than a list.

        Args:
            customer_id: explains the list of `recommend`.
            product_id: without a customer, explains the list of `similar`.
            country: without both, explains the list of `trending`, of a country (two letters) or the whole shop (None).

        Returns:
            One line of text.

        Raises:
            UnknownCustomer: no customer can have that id.
            UnknownProduct: no product can have that id.
            ValueError: `country` is not two letters.
            Unavailable: the store does not respond.
            ProcessingFailed: the thread of `processing` has failed.
        """
        explain = self._checked_container.explain_empty_list()
        if customer_id is not None:
            return explain.of_customer(checked_customer_id(customer_id))
        if product_id is not None:
            return explain.of_product(checked_product_id(product_id))
        return explain.of_trending(checked_country(country))

    def product(self, product_id: str) -> Product:
        """Describe a product: by the shop's catalogue, then by what events say.

        Args:
            product_id: any id.

        Returns:
            The description; what is unknown is None.

        Raises:
            UnknownProduct: no product can have that id.
            Unavailable: the store does not respond.
            ProcessingFailed: the thread of `processing` has failed.
        """
        checked = checked_product_id(product_id)
        return self._checked_container.shared_cache().products([checked]).get(checked, Product(checked))

    def profile(self, customer_id: str) -> Profile:
        """Read the profile of a customer; the id of a visitor who signed in gives the customer's.

        Args:
            customer_id: a user id, or `anonymous:SESSION` for a visitor.

        Returns:
            The profile, with the reviews and the descriptions of its products.

        Raises:
            UnknownCustomer: no event of that id has been processed, or the customer was erased.
            Unavailable: the store does not respond.
            ProcessingFailed: the thread of `processing` has failed.
        """
        return self._checked_container.show_customer()(checked_customer_id(customer_id))
