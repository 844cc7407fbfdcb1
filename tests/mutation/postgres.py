"""Safeguards of the capture from Postgres: the slot, the snapshot and the stream."""

from tests.mutation.mutation import Mutation

SLOT = "tests/infrastructure/postgres/test_slot.py"
SNAPSHOT = "tests/infrastructure/postgres/test_snapshot.py"
DOCUMENTS = "tests/infrastructure/postgres/test_documents.py"
POSITION = "tests/infrastructure/postgres/test_position.py"
INTERRUPTED = f"{SNAPSHOT}::test_a_snapshot_that_is_interrupted_at_every_batch_has_each_row_once"
CUT = f"{SNAPSHOT}::test_a_large_transaction_is_cut_and_read_on"
OTHER_DATABASE = f"{SLOT}::test_another_or_a_restored_database_is_noticed"

MUTATIONS = [
    Mutation(
        "a heartbeat moves the slot past what the log does not have",
        "infrastructure/postgres/stream.py",
        "        self._session.confirm(self._received_lsn, self._acknowledged_lsn, request_reply=True)\n",
        "        self._session.confirm(self._received_lsn, self._received_lsn, request_reply=True)\n",
        (f"{SLOT}::test_the_slot_does_not_move_before_the_log_has_the_records",),
    ),
    Mutation(
        "a reply to Postgres moves the slot past what the log does not have",
        "infrastructure/postgres/stream.py",
        "            self._session.confirm(self._received_lsn, self._acknowledged_lsn)\n",
        "            self._session.confirm(self._received_lsn, self._received_lsn)\n",
        (f"{SLOT}::test_postgres_that_asks_for_a_reply_is_told_no_more_than_the_log_has",),
    ),
    Mutation(
        "an acknowledgement moves the slot past what the log has",
        "infrastructure/postgres/stream.py",
        "        self._acknowledged_lsn = max(self._acknowledged_lsn, lsn)\n",
        "        self._acknowledged_lsn = max(self._received_lsn, lsn)\n",
        (f"{SLOT}::test_an_acknowledgement_moves_the_slot_no_further_than_it_says",),
    ),
    Mutation(
        "a slot that was moved by others is read on",
        "infrastructure/postgres/slot.py",
        "        if status.confirmed_lsn > position.lsn:\n",
        "        if False:\n",
        (f"{SLOT}::test_a_dropped_slot_is_not_created_again",),
    ),
    Mutation(
        "another database system is read on",
        "infrastructure/postgres/slot.py",
        "        if system != position.system:\n",
        "        if False:\n",
        (OTHER_DATABASE,),
    ),
    Mutation(
        "a promoted standby is read on",
        "infrastructure/postgres/slot.py",
        "        if timeline != position.timeline:\n",
        "        if False:\n",
        (OTHER_DATABASE,),
    ),
    Mutation(
        "the changes of a transaction that was cut come again",
        "infrastructure/postgres/changes.py",
        "        return begin.commit_lsn != position.commit or number > position.rows\n",
        "        return True\n",
        (CUT,),
    ),
    Mutation(
        "a transaction that was cut is passed",
        "infrastructure/postgres/position.py",
        "        if self.commit >= lsn:  # the transaction that is cut comes again\n",
        "        if False:\n",
        (POSITION,),
    ),
    Mutation(
        "transactions that the log has come again",
        "infrastructure/postgres/changes.py",
        "        if begin.commit_lsn < position.lsn:\n",
        "        if False:\n",
        (
            "tests/infrastructure/postgres/test_source.py::TestPostgresStream::test_reading_goes_on_behind_the_positions",
        ),
    ),
    Mutation(
        "changes that wait for the next batch are taken for returned",
        "infrastructure/postgres/stream.py",
        "        if self._left:\n",
        "        if False:\n",
        (f"{SNAPSHOT}::test_a_truncation_of_several_tables_is_cut_and_read_on",),
    ),
    Mutation(
        "what follows a message of pgoutput is passed over",
        "infrastructure/postgres/pgoutput.py",
        "    if end != len(data):\n",
        "    if False:\n",
        ("tests/infrastructure/postgres/test_pgoutput.py",),
    ),
    Mutation(
        "a large value that an update did not touch is read as null",
        "infrastructure/postgres/changes.py",
        "        new = merged(message.old, message.new)\n",
        "        new = message.new\n",
        (DOCUMENTS,),
    ),
    Mutation(
        "a table that was made again is read on",
        "infrastructure/postgres/changes.py",
        "        if known.table != relation.oid:\n",
        "        if False:\n",
        (DOCUMENTS,),
    ),
    Mutation(
        "an interrupted snapshot begins again",
        "infrastructure/postgres/snapshot.py",
        '        where = "" if after is None else f" WHERE {table.behind(after)}"\n',
        '        where = ""\n',
        (INTERRUPTED,),
    ),
    Mutation(
        "what earlier snapshots have read is forgotten",
        "infrastructure/postgres/snapshot.py",
        "        part = SnapshotPart(self._visible, self._until, tuple(self._ranges))\n",
        "        part, self._before = SnapshotPart(self._visible, self._until, tuple(self._ranges)), ()\n",
        (INTERRUPTED,),
    ),
    Mutation(
        "a change that a snapshot has comes again by the stream",
        "infrastructure/postgres/position.py",
        "        return any(part.visible.sees(xid) for part in self.parts if",
        "        return False and any(part.visible.sees(xid) for part in self.parts if",
        (INTERRUPTED,),
    ),
    Mutation(
        "a snapshot is taken to see transactions that were running",
        "infrastructure/postgres/position.py",
        "        return full < self.xmin or (full < self.xmax and full not in self.in_progress)\n",
        "        return full < self.xmax\n",
        (f"{SNAPSHOT}::test_a_transaction_that_is_running_while_a_snapshot_is_taken_comes_by_the_stream",),
    ),
    Mutation(
        "a row that gets another key between two snapshots is one row",
        "infrastructure/postgres/changes.py",
        "        if message.old is not None and self._has_read(captured, message.old) != has_read:\n",
        "        if False:\n",
        (INTERRUPTED,),
    ),
    Mutation(
        "a first snapshot does not wait for what the slot may not have",
        "infrastructure/postgres/snapshot.py",
        '        while int(str(session.rows("SELECT pg_snapshot_xmin(pg_current_snapshot())")[0][0])) <= self._xid:\n',
        "        while False:\n",
        (f"{SNAPSHOT}::test_the_first_snapshot_waits_for_transactions_that_the_slot_may_not_have",),
    ),
    Mutation(
        "what snapshots saw is forgotten before the stream has passed it",
        "infrastructure/postgres/position.py",
        "        parts = () if all(part.until <= lsn for part in self.parts) else self.parts\n",
        "        parts: tuple[SnapshotPart, ...] = ()\n",
        (INTERRUPTED,),
    ),
    Mutation(
        "a truncation between two parts of a snapshot is passed over",
        "infrastructure/postgres/changes.py",
        "        if seen and unseen:\n",
        "        if False:\n",
        (f"{SNAPSHOT}::test_a_truncation_between_two_parts_of_a_snapshot_stops_the_capture",),
    ),
]
