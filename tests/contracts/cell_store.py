"""What every cell store must do."""

import pytest

from realtime_pipeline.application.errors import Fenced, WrongLog
from realtime_pipeline.application.ports.cell_store import CellStore, Commit
from realtime_pipeline.application.ports.customer_queries import CustomerQueries
from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.domain.profile.customer import Customer
from realtime_pipeline.domain.profile.session import Session, SessionKey, session_key
from realtime_pipeline.domain.profile.visits import Visits
from realtime_pipeline.domain.shop.events import CustomerId, EventKind, ProductId
from realtime_pipeline.domain.shop.review import Review
from realtime_pipeline.domain.streams.effects import Effects, RecordClass
from realtime_pipeline.domain.streams.watermark import Watermark
from realtime_pipeline.domain.views.deltas import Deltas

ADA, BOB = CustomerId("ada"), CustomerId("bob")
MUG, JUG = ProductId("mug"), ProductId("jug")
KEY = session_key(0, 3)


def seen(customer_id: CustomerId, views: int = 1) -> Customer:
    return Customer(customer_id, Visits({EventKind.PRODUCT_VIEWED: views}, first_seen_ms=5, last_seen_ms=9))


def effects(
    *customers: Customer,
    sessions: tuple[Session, ...] = (),
    dropped: frozenset[SessionKey] = frozenset(),
    reviews: tuple[Review, ...] = (),
    taken_down: tuple[tuple[CustomerId, ProductId], ...] = (),
    tombstones: dict[CustomerId, int] | None = None,
    applied: int = 1,
) -> Effects:
    return Effects(
        customers={customer.customer_id: customer for customer in customers},
        sessions={session.key: session for session in sessions},
        sessions_dropped=dropped,
        reviews={(review.customer_id, review.product_id): review for review in reviews} | dict.fromkeys(taken_down),
        tombstones=tombstones or {},
        deltas=Deltas(),
        dead_letters=(),
        counts={RecordClass.APPLIED: applied},
    )


NOW_MS = 1_000_000


class CellStoreContract:
    """A fresh store, bound to no log, with partition 0 unclaimed. Sessions are kept for 1,000 ms."""

    cells: CellStore
    customers: CustomerQueries

    def commit(
        self, changed: Effects, at: int = 0, to: int | None = None, number: int | None = None, epoch: int = 1
    ) -> None:
        """Commit [at, at + 1), by default as the store's (at + 1)-th commit."""
        watermark = Watermark(7 + at, 1 + 10 * at, 700 + at, 2 + 10 * at)
        to_position = at + 1 if to is None else to
        with self.cells.transaction():
            self.cells.commit(
                [
                    Commit(
                        0,
                        epoch,
                        at + 1 if number is None else number,
                        at,
                        to_position,
                        watermark,
                        changed,
                        at_ms=NOW_MS,
                    )
                ]
            )

    def test_a_new_cell_has_position_0(self) -> None:
        assert self.cells.epoch(0) == 0
        claimed = self.cells.claim(0, 1)
        assert (claimed.position, claimed.number, claimed.watermark) == (0, 0, Watermark())
        assert list(self.cells.outbox(0, 0)) == []
        assert self.cells.epoch(0) == 1

    def test_a_claim_needs_a_larger_epoch(self) -> None:
        self.cells.claim(0, 3)
        for epoch in (1, 3):
            with pytest.raises(Fenced):
                self.cells.claim(0, epoch)
        self.cells.claim(1, 1)
        assert (self.cells.epoch(0), self.cells.epoch(1)) == (3, 1)

    def test_a_commit_writes_all_effects_and_advances_the_cell(self) -> None:
        self.cells.claim(0, 1)
        session = Session(KEY, "s", 5, 9, 1, {MUG: (9, 1)})
        review = Review(ADA, MUG, 4, "fine", 9)
        self.commit(effects(seen(ADA), sessions=(session,), reviews=(review,)))
        assert self.customers.read_customer(ADA) == seen(ADA)
        assert self.customers.session_summaries([KEY]) == {KEY: session.summary()}
        assert self.customers.reviews(ADA) == [review]
        assert self.customers.counts() == {RecordClass.APPLIED: 1}
        claimed = self.cells.claim(0, 2)
        assert (claimed.position, claimed.number, claimed.watermark) == (1, 1, Watermark(7, 1, 700, 2))

    @pytest.mark.parametrize(
        ("at", "number", "epoch"), [(0, 2, 2), (1, 2, 1), (1, 2, 3), (2, 2, 2), (1, 1, 2), (1, 3, 2)]
    )
    def test_a_commit_with_another_epoch_position_or_number_changes_nothing(
        self, at: int, number: int, epoch: int
    ) -> None:
        self.cells.claim(0, 1)
        self.commit(effects(seen(ADA)))
        self.cells.claim(0, 2)
        with pytest.raises(Fenced):
            self.commit(effects(seen(ADA, 7), seen(BOB)), at=at, to=at + 2, number=number, epoch=epoch)
        assert self.customers.read_customer(ADA) == seen(ADA)
        assert self.customers.read_customer(BOB) is None
        assert self.customers.counts() == {RecordClass.APPLIED: 1}
        claimed = self.cells.claim(0, 3)
        assert (claimed.position, claimed.number) == (1, 1)

    def test_a_commit_without_a_claim_is_refused(self) -> None:
        with pytest.raises(Fenced):
            self.commit(effects(seen(ADA)))

    def test_a_repeated_commit_is_refused(self) -> None:
        self.cells.claim(0, 1)
        self.commit(effects(seen(ADA)))
        with pytest.raises(Fenced):
            self.commit(effects(seen(ADA)))
        assert self.customers.counts() == {RecordClass.APPLIED: 1}

    def test_a_customer_is_loaded_for_every_id(self) -> None:
        self.cells.claim(0, 1)
        self.commit(effects(seen(ADA)))
        assert self.cells.load_customers({0: [ADA, BOB]}) == {ADA: seen(ADA), BOB: Customer(BOB)}
        assert self.cells.load_customers({}) == {}

    def test_only_known_customers_are_read(self) -> None:
        self.cells.claim(0, 1)
        self.commit(effects(seen(ADA), seen(BOB)))
        self.commit(effects(tombstones={BOB: 50}), at=1)
        cyd = CustomerId("cyd")
        assert self.customers.read_customers([cyd, ADA, BOB, ADA]) == {ADA: seen(ADA)}
        assert self.customers.read_customers([]) == {}

    def test_a_loaded_customer_is_a_copy(self) -> None:
        self.cells.claim(0, 1)
        self.commit(effects(seen(ADA)))
        self.cells.load_customers({0: [ADA]})[ADA].visits.counts[EventKind.PRODUCT_VIEWED] = 99
        assert self.customers.read_customer(ADA) == seen(ADA)

    def test_a_forgotten_customer_is_deleted_and_leaves_a_tombstone(self) -> None:
        self.cells.claim(0, 1)
        session = Session(KEY, "s", 5, 9)
        self.commit(effects(seen(ADA), sessions=(session,), reviews=(Review(ADA, MUG, 4, "fine", 9),)))
        self.commit(effects(dropped=frozenset([KEY]), taken_down=((ADA, MUG),), tombstones={ADA: 50}), at=1)
        assert self.customers.read_customer(ADA) is None
        assert self.customers.session_summaries([KEY]) == {}
        assert self.customers.reviews(ADA) == []
        assert list(self.customers.scan()) == []
        assert self.cells.load_customers({0: [ADA]}) == {ADA: Customer.forgotten(ADA, 50)}

    def test_a_customer_who_comes_back_in_the_same_commit_keeps_only_later_reviews(self) -> None:
        self.cells.claim(0, 1)
        self.commit(effects(seen(ADA), reviews=(Review(ADA, MUG, 4, "fine", 9), Review(ADA, JUG, 1, "bad", 9))))
        back = seen(ADA, 2)
        again = Review(ADA, MUG, 5, "better", 60)
        self.commit(effects(back, reviews=(again,), taken_down=((ADA, JUG),), tombstones={ADA: 50}), at=1)
        assert self.customers.read_customer(ADA) == back
        assert self.customers.reviews(ADA) == [again]

    def test_expired_sessions_are_not_read(self) -> None:
        self.cells.claim(0, 1)
        old, young = Session(session_key(0, 1), "a", 0, 0), Session(session_key(0, 2), "b", 0, 1_000)
        self.commit(effects(sessions=(old, young)))
        assert set(self.customers.session_summaries([old.key, young.key])) == {old.key, young.key}
        with self.cells.transaction():
            self.cells.commit([Commit(0, 1, 2, 1, 2, Watermark(0, 1_001, 0), effects(seen(ADA)))])
        assert set(self.customers.session_summaries([old.key, young.key])) == {young.key}

    def test_no_session_expires_by_an_event_time_later_than_the_clock(self) -> None:
        """Two events of a clock that was far ahead have moved the watermark of the partition."""
        self.cells.claim(0, 1)
        session = Session(session_key(0, 1), "a", 0, 0)
        self.commit(effects(sessions=(session,)))
        ahead = Watermark(0, 10**12, 10**12, 10**12)
        with self.cells.transaction():
            self.cells.commit([Commit(0, 1, 2, 1, 2, ahead, effects(seen(ADA)), at_ms=900)])
        assert set(self.customers.session_summaries([session.key], 1_000)) == {session.key}
        assert self.customers.session_summaries([session.key], 1_001) == {}

    def test_reviews_are_read_latest_first(self) -> None:
        self.cells.claim(0, 1)
        first, second, third = (Review(ADA, ProductId(name), 3, "", at) for name, at in (("b", 5), ("c", 9), ("a", 5)))
        self.commit(effects(reviews=(first, second, third)))
        assert self.customers.reviews(ADA) == [second, third, first]

    def test_counts_of_commits_add_up(self) -> None:
        self.cells.claim(0, 1)
        self.commit(effects(applied=3))
        self.commit(effects(applied=4), at=1)
        assert self.customers.counts() == {RecordClass.APPLIED: 7}

    def test_what_is_erased_is_as_if_it_had_never_been(self) -> None:
        self.cells.bind(LogIdentity("a", 2, "consistent"))
        self.cells.claim(0, 3)
        session = Session(KEY, "s", 5, 9)
        kept = effects(seen(ADA), sessions=(session,), reviews=(Review(ADA, MUG, 4, "fine", 9),), tombstones={BOB: 5})
        self.commit(kept, epoch=3)
        self.cells.erase()
        assert list(self.customers.scan()) == []
        assert self.cells.load_customers({0: [ADA, BOB]}) == {ADA: Customer(ADA), BOB: Customer(BOB)}
        assert (self.customers.session_summaries([KEY]), self.customers.reviews(ADA), self.customers.counts()) == (
            {},
            [],
            {},
        )
        assert (self.cells.epoch(0), self.cells.positions([0]), list(self.cells.outbox(0, 0))) == (0, {0: 0}, [])
        with pytest.raises(Fenced):
            self.commit(kept, at=1, epoch=3)
        with pytest.raises(WrongLog):
            self.cells.bind(LogIdentity("b", 2, "consistent"))

    def test_a_scan_finds_every_customer_once(self) -> None:
        self.cells.claim(0, 1)
        names = [CustomerId(f"customer-{number}") for number in range(2_500)]
        self.commit(effects(*(seen(name) for name in names)))
        found = [customer.customer_id for customer in self.customers.scan()]
        assert sorted(found) == sorted(names)

    def test_a_store_is_bound_to_one_log(self) -> None:
        self.cells.bind(LogIdentity("a", 2, "consistent"))
        self.cells.bind(LogIdentity("a", 2, "consistent"))
        for other in (LogIdentity("b", 2, "consistent"), LogIdentity("a", 3, "consistent")):
            with pytest.raises(WrongLog, match="built from log"):
                self.cells.bind(other)


class OutboxContract(CellStoreContract):
    """Stores with an outbox: an entry stays until it is trimmed, because views and outputs are separate."""

    def test_outbox_entries_stay_until_they_are_trimmed(self) -> None:
        self.cells.claim(0, 1)
        self.commit(effects(seen(ADA)))
        self.commit(effects(seen(BOB)), at=1)
        self.cells.claim(0, 2)
        assert self.ranges(0) == [(0, 1), (1, 2)]
        assert self.ranges(1) == [(1, 2)]
        self.cells.trim(0, 1, 2)  # from an earlier owner
        assert self.ranges(0) == [(0, 1), (1, 2)]
        self.cells.trim(0, 2, 1)
        assert self.ranges(0) == [(1, 2)]

    def ranges(self, after: int) -> list[tuple[int, int]]:
        return [(entry.from_position, entry.to_position) for entry in self.cells.outbox(0, after)]


class TransactionContract(CellStoreContract):
    """Stores where a round is a transaction."""

    def test_an_error_rolls_the_transaction_back(self) -> None:
        self.cells.claim(0, 1)
        commit = Commit(0, 1, 1, 0, 1, Watermark(), effects(seen(ADA)))
        with pytest.raises(Fenced), self.cells.transaction():  # noqa: PT012 - the first write is what must be undone
            self.cells.commit([commit])
            self.cells.commit([commit])
        assert self.customers.read_customer(ADA) is None
        self.commit(effects(seen(BOB)))
        assert self.customers.read_customer(BOB) == seen(BOB)
