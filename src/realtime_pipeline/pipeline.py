"""The whole pipeline as one object, for programs that import it."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.util import find_spec
from os import PathLike, fspath
from types import TracebackType
from typing import Final, Literal, Self

from dependency_injector import providers

from realtime_pipeline.application.errors import Unavailable
from realtime_pipeline.application.maintenance.forget_customer import Forgetting, Receipt
from realtime_pipeline.application.ports.backups import Backup
from realtime_pipeline.application.processing.output_positions import InDoubt
from realtime_pipeline.application.serving.recommend_products import TopRatedProducts
from realtime_pipeline.application.serving.request import Request, checked_country
from realtime_pipeline.application.serving.request_checks import (
    bounded_limit,
    checked_customer_id,
    checked_product_id,
    checked_request,
    checked_requests,
    exposed_product_id,
)
from realtime_pipeline.application.serving.show_customer import Profile
from realtime_pipeline.composition.container import Container
from realtime_pipeline.composition.settings import Settings
from realtime_pipeline.domain.recommendation.list_rules import ListRules
from realtime_pipeline.domain.recommendation.service import Recommendation, Recommendations
from realtime_pipeline.domain.streams.effects import RecordClass
from realtime_pipeline.infrastructure.system.background_worker import BackgroundWorker
from realtime_pipeline.operations import Operations

_EXTRAS: Final = {"kafka": "confluent_kafka", "redis": "redis"}
"""What log or store need beside the library, and by which module it is known to be there."""


class Pipeline(Operations):
    """Publish events, have them processed, ask for profiles and recommendations.

    What is wrong with events, ids, files or stores is a `PipelineError` with one line that says what to do. Publishing
    and reading may be done from any thread and by any number of processes; processing by one. Every result has
    `as_dict()`, which JSON takes. A catalogue that was swapped in fails with its own errors.
    """

    def __init__(self, settings: Settings | None = None, container: Container | None = None) -> None:
        """Open a pipeline; files and connections are opened at their first use.

        Args:
            settings: which log and store, and how they work; else those of the container, or the defaults.
            container: what stands behind the ports; else what the settings name.

        Raises:
            Unavailable: Kafka or Redis needs packages that are not installed, or the container is another pipeline's.
        """
        self.container = Container() if container is None else container
        self._background = BackgroundWorker(self.container.process_events)
        if settings is not None:
            _check_installed(settings)
            if self.container.settings.last_overriding is not None:
                raise Unavailable("this container has settings of another pipeline: make one for each")
            self.container.settings.override(providers.Object(settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close what was opened; what is still on its way to a log that does not answer is given up.

        In a process that was forked since the pipeline was used, what is open is the parent's, and stays open.
        """
        if self._background.is_of_this_process:
            self.container.resources().close()

    def publish(self, events: Sequence[Mapping[str, object]]) -> int:
        """Append events, in any accepted schema, all or none; they are durable on return.

        Returns:
            How many they are.

        Raises:
            InvalidEvents: an event is none, or is a copy that a worker made; the message says which, and why.
            Unavailable: the log did not take them all. In Kafka some may have been taken; publish them again, with
                their ids.
            ProcessingFailed: the thread of `processing` has failed.
        """
        return self._checked_container.publish_events().documents(events)

    def process(self) -> Mapping[RecordClass, int]:
        """Process all that has been published so far.

        Returns:
            How many records fell into each class, ever.

        Raises:
            UnrecoverableState: going on would lose or double something, or another thread of this pipeline is
            processing.
            WrongLog: the store was built from another log.
            Unavailable: a log or a store does not answer.
            ProcessingFailed: the thread of `processing` has failed.
        """
        with self._background.alone():
            self.container.process_events().catch_up()
        return self.container.customer_queries().counts()

    def processing(self, on_failure: Callable[[BaseException], object] | None = None) -> AbstractContextManager[None]:
        """Process what is published, in a thread of its own, until the block ends.

        When the thread fails, it calls `on_failure` with what it failed with; every call of this pipeline within the
        block then raises `ProcessingFailed`, and the block's end raises the failure itself. On Kafka the partitions
        stay with this pipeline until it is closed.

        Raises:
            UnrecoverableState: another thread of this pipeline is processing; or, when the block ends, going on would
            lose or
                double something.
            WrongLog: when the block ends: the store was built from another log.
            Unavailable: when the block ends: a log or a store did not answer.
            ProcessingFailed: the thread of a block around this one has failed.
        """
        return self._background.running(on_failure)

    @property
    def is_processing(self) -> bool:
        """Whether a thread of `processing` is at work."""
        return self._background.is_running

    @property
    def _checked_container(self) -> Container:
        """The container, for whoever calls this pipeline.

        Raises:
            ProcessingFailed: the thread that processes events has failed.
            Unavailable: this pipeline was used before the process was forked.
        """
        self._background.check()
        return self.container

    def recommend(
        self,
        customer_id: str,
        limit: int = 10,
        looking_at: Sequence[str] = (),
        rules: ListRules | None = None,
        shown: Mapping[str, int] | None = None,
        country: str | None = None,
    ) -> Recommendations:
        """Recommend products to a customer, known or new, each with its reason.

        `looking_at` are products that they have before them now, the newest last: for whom no events are known yet.
        `rules` take the place of those of the settings; `shown` is how often products were shown to them before, where
        the shop knows better than the profile (see `record_exposure`); `country` is where they are (`"DE"`), where it
        is not the one their events spoke of last.

        Raises:
            UnknownCustomer: no customer can have that id. One who is merely new gets what is trending.
            UnknownProduct: no product can have one of the ids in `looking_at` or `shown`.
            ValueError: `limit` is less than 1, or `country` is not two letters.
            TypeError: `looking_at` is no list.
            Unavailable: the store does not answer.
            ProcessingFailed: the thread of `processing` has failed.
        """
        request = Request(customer_id, limit, looking_at, shown or {}, rules, country)
        return self._checked_container.run_experiment()(checked_request(request))

    def recommend_all(self, requests: Sequence[Request]) -> Sequence[Recommendations]:
        """Answer requests that wait at the same time, each as `recommend` would, in their order.

        What they need is read together, which takes less time than one after the other; each waits for all. One that
        cannot be answered fails them all, by its number: ids that come from outside are better asked for alone.

        Raises:
            UnknownCustomer: no customer can have one of the ids; the message gives the request's number.
            UnknownProduct: no product can have one of the ids; the message gives the request's number.
            TypeError: `requests` is no list of requests.
            Unavailable: the store does not answer.
            ProcessingFailed: the thread of `processing` has failed.
        """
        asked = checked_requests(requests)
        return self._checked_container.run_experiment().all(asked)

    def record_exposure(self, customer_id: str, shown: Sequence[Recommendation | str]) -> None:
        """Say that a list was shown to a customer, so that it counts for `shown_max` and for experiments.

        A part of a list (`found[:3]`) still says by which variant it was made; recommendations one by one, or products,
        do not. Of an empty list there is nothing to say.

        Raises:
            UnknownCustomer: no customer can have that id.
            UnknownProduct: no product can have one of the ids.
            InvalidEvents: they are more products than a list can have.
            TypeError: `shown` is no list of recommendations or ids.
            Unavailable: the log did not take it.
            ProcessingFailed: the thread of `processing` has failed.
        """
        if isinstance(shown, str):
            raise TypeError("what was shown is a list of products, also where it is one")
        experiment, variant = "", ""
        if isinstance(shown, Recommendations):
            experiment, variant = shown.experiment, shown.variant
        products = [exposed_product_id(one) for one in shown]
        if products:
            self._checked_container.record_exposure()(checked_customer_id(customer_id), products, experiment, variant)

    def similar(self, product_id: str, limit: int = 10, rules: ListRules | None = None) -> Recommendations:
        """Recommend products to whoever looks at one, as on its page; `rules` take the place of those of the settings.

        Raises:
            UnknownProduct: no product can have that id. Beside one that is merely new stands what is trending.
            ValueError: `limit` is less than 1.
            Unavailable: the store does not answer.
            ProcessingFailed: the thread of `processing` has failed.
        """
        return self._checked_container.recommend_products().similar(checked_product_id(product_id), limit, rules)

    def trending(self, limit: int = 10, country: str | None = None) -> Recommendations:
        """Say what the whole shop, or a country (`"DE"`), is looking at now.

        Raises:
            ValueError: `limit` is less than 1, or `country` is not two letters.
            Unavailable: the store does not answer.
            ProcessingFailed: the thread of `processing` has failed.
        """
        return self._checked_container.recommend_products().trending(bounded_limit(limit), checked_country(country))

    def top_rated(self, limit: int = 10) -> TopRatedProducts:
        """Say which products people rate highest.

        Raises:
            ValueError: `limit` is less than 1.
            Unavailable: the store does not answer.
            ProcessingFailed: the thread of `processing` has failed.
        """
        return self._checked_container.recommend_products().top_rated(
            self._checked_container.settings().rating_prior, bounded_limit(limit)
        )

    def explain_empty(
        self, customer_id: str | None = None, product_id: str | None = None, country: str | None = None
    ) -> str:
        """Say in one line why a list was empty that has no notes, and what to do about it.

        With a customer, that of `recommend`; with a product, that of `similar`; else that of `trending`. It looks where
        the log ends and where the store stands, which takes longer than a list.

        Raises:
            UnknownCustomer: no customer can have that id.
            UnknownProduct: no product can have that id.
            ValueError: `country` is not two letters.
            Unavailable: the store does not answer.
            ProcessingFailed: the thread of `processing` has failed.
        """
        explain = self._checked_container.explain_empty_list()
        if customer_id is not None:
            return explain.of_customer(checked_customer_id(customer_id))
        if product_id is not None:
            return explain.of_product(checked_product_id(product_id))
        return explain.of_trending(checked_country(country))

    def profile(self, customer_id: str) -> Profile:
        """Show what is known of a customer; for a visitor who signed in, the customer they became.

        Raises:
            UnknownCustomer: nobody of that id has been seen, or they were forgotten.
            Unavailable: the store does not answer.
            ProcessingFailed: the thread of `processing` has failed.
        """
        return self._checked_container.show_customer()(checked_customer_id(customer_id))

    def rebuild(self) -> int:
        """Set the store back, to be built again from the log by `process` or a worker.

        It is emptied; or, where the log has lost its oldest records to `log_retention`, it is what it was at its
        snapshot.

        Returns:
            How many records of the log there are to process again.

        Raises:
            UnrecoverableState: workers are running, or the log no longer holds all records, and no snapshot has what
            those did.
                Nothing was erased.
            WrongLog: the store was built from another log.
            Unavailable: a log or a store does not answer.
            ProcessingFailed: the thread of `processing` has failed.
        """
        with self._background.alone():
            return self._checked_container.rebuild_store()()

    def backup(self, file: str | PathLike[str]) -> Backup:
        """Write a copy of the SQLite file, complete and checked, while workers, publishers and readers go on.

        The copy can be opened as a pipeline of its own, and goes on where this one stood when the call began.

        Raises:
            Unavailable: `file` exists already or cannot be written, the copy is not sound, or log or store are not in
                SQLite, or cannot be opened.
            ProcessingFailed: the thread of `processing` has failed.
        """
        return self._checked_container.backups().write(fspath(file))

    def restore_outputs(self, in_doubt: Literal["again", "skip"]) -> Mapping[int, int]:
        """Write how far outputs were emitted, where the group's offsets in Kafka were deleted or have expired and a
        worker could not tell; return the positions written, by partition. No worker may be running.

        `in_doubt` says what becomes of outputs that may be out or not: emit them `again`, or `skip` them.

        Raises:
            UnrecoverableState: workers are running; nothing was written.
            WrongLog: the store was built from another log.
            InvalidSettings: outputs do not lie in Kafka.
            Unavailable: Kafka or Redis does not answer.
            ValueError: `in_doubt` is something else.
            ProcessingFailed: the thread of `processing` has failed.
        """
        with self._background.alone():
            return self.container.restore_outputs()(InDoubt(in_doubt))

    def forget(self, customer_id: str) -> Forgetting:
        """Ask for everything about a customer to be erased: the worker does it, in the log's order.

        Raises:
            UnknownCustomer: no customer can have that id, or it is a visitor who has signed in: forget the customer.
            Unavailable: the store does not answer, or the log did not take it.
            ProcessingFailed: the thread of `processing` has failed.
        """
        return self._checked_container.forget_customer()(checked_customer_id(customer_id))

    def receipt(self, forgetting: Forgetting) -> Receipt:
        """Look into every store, and say what is left of a customer who is to be forgotten.

        Raises:
            Unavailable: a log or a store does not answer.
            ProcessingFailed: the thread of `processing` has failed.
        """
        return self._checked_container.forget_customer().receipt(forgetting)


def _check_installed(settings: Settings) -> None:
    for technology, module in _EXTRAS.items():
        if technology in {settings.log, settings.store} and find_spec(module) is None:
            raise Unavailable(f"{technology} needs more packages: pip install 'realtime-pipeline[{technology}]'")
