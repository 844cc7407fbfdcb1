"""The whole pipeline as one object, for programs that import it."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from numbers import Integral
from types import TracebackType
from typing import Final, Literal, Self

import attrs
from dependency_injector import providers

from realtime_pipeline.application.errors import (
    InvalidEvents,
    PipelineError,
    ProcessingFailed,
    Stopped,
    Unavailable,
    UnknownCustomer,
    UnknownProduct,
)
from realtime_pipeline.application.forget_customer import Forgetting, Receipt
from realtime_pipeline.application.recall_outputs import Owed
from realtime_pipeline.application.recommend_products import TopRatedProducts
from realtime_pipeline.application.request import Request, checked_country
from realtime_pipeline.application.show_customer import Profile
from realtime_pipeline.container import Container
from realtime_pipeline.domain.recommendation.rules import ListRules
from realtime_pipeline.domain.recommendation.service import Recommendation, Recommendations
from realtime_pipeline.domain.shop.events import ANONYMOUS, ID_LENGTH_MAX, CustomerId, ProductId
from realtime_pipeline.domain.shop.ids import is_printable_id
from realtime_pipeline.domain.streams.effects import DeadLetter, RecordClass
from realtime_pipeline.infrastructure.codecs.events import encode_event
from realtime_pipeline.infrastructure.forks import OpeningProcess
from realtime_pipeline.settings import Settings

_EXTRAS: Final = {"kafka": "confluent_kafka", "redis": "redis"}
"""What log or store need beside the library, and by which module it is known to be there."""
LIMIT_MAX: Final = 2**31
"""More than anybody reads, and less than any store takes for a number."""


class Pipeline:
    """Publish events, have them processed, ask for profiles and recommendations.

    What is wrong with events, ids, files or stores is a `PipelineError` with one line that says what to do. Publishing
    and reading may be done from any thread and by any number of processes; processing by one.
    """

    def __init__(self, settings: Settings | None = None, container: Container | None = None) -> None:
        self.container = Container() if container is None else container
        self._processing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._process: OpeningProcess | None = None
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
        """Close what was opened; in a process that was forked since, leave it to the parent."""
        if self._process is None or self._process.is_this:
            self.container.resources().close()

    def publish(self, events: Sequence[Mapping[str, object]]) -> int:
        """Append events, in any accepted schema, all or none; they are durable on return.

        Raises:
            InvalidEvents: an event is none, or is a copy that a worker made; the message says which, and why.
        """
        if isinstance(events, Mapping):
            raise InvalidEvents("publish takes a list of events; put the one event into a list")
        return self._working.publish_events()([_encoded(number, event) for number, event in enumerate(events, 1)])

    def process(self) -> Mapping[RecordClass, int]:
        """Process all that has been published so far; return how many records fell into each class, ever."""
        with self._alone():
            self.container.process_events().catch_up()
        return self.container.cells().counts()

    @contextmanager
    def processing(self, on_failure: Callable[[BaseException], object] | None = None) -> Iterator[None]:
        """Process what is published, in a thread of its own, until the block ends.

        When the thread fails, it calls `on_failure` with what it failed with; every call of this pipeline within the
        block then raises `ProcessingFailed`, and the block's end raises the failure itself. On Kafka the partitions
        stay with this pipeline until it is closed.
        """
        with self._alone(), self._worker(on_failure):
            yield

    @property
    def is_processing(self) -> bool:
        """Whether a thread of `processing` is at work."""
        worker = self._thread
        return worker is not None and worker.is_alive() and self._failure is None

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._check_usable()
        if not self._processing.acquire(blocking=False):
            raise Stopped("this pipeline is processing already, in another thread: let it, or end that first")
        try:
            yield
        finally:
            self._processing.release()

    @contextmanager
    def _worker(self, on_failure: Callable[[BaseException], object] | None) -> Iterator[None]:
        stop = threading.Event()

        def work() -> None:
            try:
                self.container.process_events().run(stop.is_set, lambda _: None)
            except BaseException as error:  # of whatever kind: it is raised where the pipeline is used
                self._failure = error
                if on_failure is not None:
                    try:
                        on_failure(error)
                    except BaseException as another:  # likewise
                        error.add_note(f"on_failure, called with this, failed: {another!r}")

        worker = self._thread = threading.Thread(target=work, name="worker")
        worker.start()
        try:
            yield
        finally:
            stop.set()
            worker.join()
            failure, self._failure, self._thread = self._failure, None, None
        if failure is not None:
            raise failure

    def _check_usable(self) -> None:
        """See that this process may use the pipeline, and that the thread which processes events has not failed.

        Raises:
            ProcessingFailed: that thread has failed.
            Unavailable: this pipeline was used before the process was forked.
        """
        if self._process is None:  # one that was made and not used has nothing open
            self._process = OpeningProcess()
        self._process.check()
        failure = self._failure
        if failure is not None:
            why = str(failure) if isinstance(failure, PipelineError) else f"{type(failure).__name__}: {failure}"
            raise ProcessingFailed(
                f"processing has stopped, and nothing new is counted: {why}; see to that, then leave the processing() "
                "block and begin another, in a new pipeline"
            ) from failure

    @property
    def _working(self) -> Container:
        """The container, for whoever calls this pipeline.

        Raises:
            ProcessingFailed: the thread that processes events has failed.
        """
        self._check_usable()
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
        `rules` take the place of those of the settings; `shown` is how often products were shown to them before,
        where the shop knows better than the profile (see `note_shown`); `country` is where they are (`"DE"`), where it
        is not the one their events spoke of last.
        """
        request = Request(customer_id, limit, looking_at, shown or {}, rules, country)
        return self._working.run_experiment()(_checked(request))

    def recommend_all(self, requests: Sequence[Request]) -> Sequence[Recommendations]:
        """Answer requests that wait at the same time, each as `recommend` would, in their order.

        What they need is read together, which takes less time than one after the other; each waits for all. One that
        cannot be answered fails them all, by its number: ids that come from outside are better asked for alone.
        """
        if isinstance(requests, Request) or not all(isinstance(one, Request) for one in requests):
            raise TypeError("requests is a list of Request(...), also where it is one")
        checked = []
        for number, request in enumerate(requests, 1):
            try:
                checked.append(_checked(request))
            except (UnknownCustomer, UnknownProduct) as error:
                raise type(error)(f"request {number}: {error}") from None
        return self._working.run_experiment().all(checked)

    def note_shown(self, customer_id: str, shown: Sequence[Recommendation | str]) -> None:
        """Say that a list was shown to a customer, so that it counts for `shown_max` and for experiments.

        A part of a list (`found[:3]`) still says by which variant it was made; recommendations one by one, or products,
        do not. Of an empty list there is nothing to say.
        """
        if isinstance(shown, str):
            raise TypeError("what was shown is a list of products, also where it is one")
        experiment, variant = "", ""
        if isinstance(shown, Recommendations):
            experiment, variant = shown.experiment, shown.variant
        products = [_shown(one) for one in shown]
        if products:
            self._working.note_exposure()(_known_as(customer_id), products, experiment, variant)

    def similar(self, product_id: str, limit: int = 10, rules: ListRules | None = None) -> Recommendations:
        """Recommend products to whoever looks at one, as on its page."""
        return self._working.recommend_products().similar(_product(product_id), limit, rules)

    def trending(self, limit: int = 10, country: str | None = None) -> Recommendations:
        """Say what the whole shop, or a country, is looking at now."""
        return self._working.recommend_products().trending(_whole(limit), checked_country(country))

    def top_rated(self, limit: int = 10) -> TopRatedProducts:
        """Say which products people rate highest."""
        return self._working.recommend_products().top_rated(self._working.settings().rating_prior, _whole(limit))

    def profile(self, customer_id: str) -> Profile:
        """Show what is known of a customer."""
        return self._working.show_customer()(_known_as(customer_id))

    def dead_letters(self, limit: int = 20) -> Sequence[DeadLetter]:
        """Show the first records that could not be folded, each with its reason, origin and bytes."""
        return self._working.outputs().dead_letters(_whole(limit))

    def rebuild(self) -> int:
        """Empty the store, to be built again from the log by `process` or a worker; return how many records that is."""
        with self._alone():
            return self._working.rebuild_store()()

    def restore_outputs(self, owed: Literal["again", "skip"]) -> Mapping[int, int]:
        """Write how far outputs were emitted, where the group's offsets in Kafka were deleted or have expired and a
        worker could not tell; return the positions written, by partition. No worker may be running.

        `owed` says what becomes of outputs that may be out or not: emit them `again`, or `skip` them.

        Raises:
            Stopped: workers are running; nothing was written.
            WrongLog: the store was built from another log.
            InvalidSettings: outputs do not lie in Kafka.
            Unavailable: Kafka or Redis does not answer.
        """
        with self._alone():
            return self.container.restore_outputs()(Owed(owed))

    def forget(self, customer_id: str) -> Forgetting:
        """Ask for everything about a customer to be erased: the worker does it, in the log's order."""
        return self._working.forget_customer()(_known_as(customer_id))

    def receipt(self, forgetting: Forgetting) -> Receipt:
        """Look into every store, and say what is left of a customer who is to be forgotten."""
        return self._working.forget_customer().receipt(forgetting)


def _check_installed(settings: Settings) -> None:
    for technology, module in _EXTRAS.items():
        if technology in {settings.log, settings.store} and find_spec(module) is None:
            raise Unavailable(f"{technology} needs more packages: pip install 'realtime-pipeline[{technology}]'")


def _whole(limit: int) -> int:
    if limit < 1:
        raise ValueError(f"limit must be at least 1, not {limit}")
    return min(limit, LIMIT_MAX)


def _is_id(said: object) -> bool:
    """Where ids are numbers, somebody will ask by number; but bytes and None are nobody's."""
    return isinstance(said, str | Integral) and not isinstance(said, bool)


def _known_as(customer_id: str) -> CustomerId:
    """Check what is said to be a customer's id: no event could have brought in another."""
    if not _is_id(customer_id):
        raise UnknownCustomer(f"{ascii(customer_id)[:200]} is no customer's id: ids are text or whole numbers")
    customer_id = str(customer_id)
    if not customer_id or not is_printable_id(customer_id) or len(customer_id) > len(ANONYMOUS) + ID_LENGTH_MAX:
        raise UnknownCustomer(f"{ascii(customer_id)[:200]} is no customer's id: ids are some printable characters")
    return CustomerId(customer_id)


def _product(product_id: str) -> ProductId:
    """Check what is said to be a product's id."""
    if not _is_id(product_id):
        raise UnknownProduct(f"{ascii(product_id)[:200]} is no product's id: ids are text or whole numbers")
    product_id = str(product_id)
    if not product_id or not is_printable_id(product_id) or len(product_id) > ID_LENGTH_MAX:
        raise UnknownProduct(f"{ascii(product_id)[:200]} is no product's id: ids are some printable characters")
    return ProductId(product_id)


def _checked(request: Request) -> Request:
    """Check by which ids is asked."""
    return attrs.evolve(
        request,
        customer_id=_known_as(request.customer_id),
        looking_at=[_product(product_id) for product_id in request.looking_at],
        shown={_product(product_id): times for product_id, times in request.shown.items()},
    )


def _shown(one: object) -> ProductId:
    """The product of a recommendation that was shown; or a product itself."""
    if isinstance(one, Recommendation):
        return one.product.product_id
    if isinstance(one, str | int):
        return _product(str(one))
    raise TypeError(f"what was shown is recommendations, or products by their ids, not a {type(one).__name__}")


def _encoded(number: int, event: Mapping[str, object]) -> bytes:
    try:
        return encode_event(event)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidEvents(f"event {number} cannot be written as JSON: {error}") from None
