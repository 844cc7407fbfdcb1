"""Safeguards of log and store in SQLite."""

from tests.mutation.mutation import Mutation

MUTATIONS = [
    Mutation(
        "sessions listed by arrival, in SQLite",
        "infrastructure/sqlite/views.py",
        'WHERE product = ?1 ORDER BY at_ms DESC, session_key DESC LIMIT ?2)"',
        'WHERE product = ?1 ORDER BY session_key DESC LIMIT ?2)"',
        ("tests/infrastructure/sqlite/test_sqlite.py",),
    ),
    Mutation(
        "no fence, in SQLite",
        "infrastructure/sqlite/cells.py",
        "            if updated.rowcount != 1:\n",
        "            if False:\n",
        ("tests/infrastructure/sqlite/test_sqlite.py",),
    ),
    Mutation(
        "an earlier owner may merge",
        "infrastructure/sqlite/views.py",
        "        if any(current.get(source.partition, (0, 0))[0] != source.epoch for source in ranges):\n",
        "        if False:\n",
        ("tests/infrastructure/sqlite/test_sqlite.py",),
    ),
    Mutation(
        "a merge may be repeated",
        "infrastructure/sqlite/views.py",
        "        if any(current[source.partition][1] != source.from_position for source in ranges):\n",
        "        if False:\n",
        ("tests/infrastructure/sqlite/test_sqlite.py",),
    ),
    Mutation(
        "a round is not one transaction",
        "infrastructure/sqlite/cells.py",
        "        with self._database.transaction():\n            yield\n",
        "        yield\n",
        ("tests/infrastructure/sqlite/test_sqlite.py",),
    ),
    Mutation(
        "an acknowledged publish is undone",
        "infrastructure/sqlite/log.py",
        "            self._observer.reached(Stage.APPENDED, len(records))\n",
        "            self._observer.reached(Stage.APPENDED, len(records))\n"
        '            connection.execute("ROLLBACK"); connection.execute("BEGIN")\n',
        ("tests/infrastructure/sqlite/test_sqlite.py",),
    ),
    Mutation(
        "an acknowledged publish is not synced",
        "infrastructure/sqlite/database.py",
        "'FULL' if durable else 'NORMAL'",
        "'OFF'",
        ("tests/infrastructure/sqlite/test_sqlite.py",),
    ),
    Mutation(
        "an upgrade of a file is not one transaction",
        "infrastructure/sqlite/schema.py",
        '    connection.execute("BEGIN EXCLUSIVE")\n    try:\n        _run_steps(',
        '    connection.execute("BEGIN EXCLUSIVE")\n'
        "    try:\n"
        '        connection.execute("COMMIT")\n'
        '        connection.execute("BEGIN EXCLUSIVE") if not version_of(connection) else None\n'
        "        _run_steps(",
        ("tests/infrastructure/sqlite/test_schema.py",),
    ),
    Mutation(
        "a program writes into a file that a newer release has upgraded",
        "infrastructure/sqlite/database.py",
        "                    check_version(connection, self.path)\n",
        "",
        ("tests/infrastructure/sqlite/test_schema.py",),
    ),
    Mutation(
        "a snapshot has no sums",
        "infrastructure/sqlite/views.py",
        '"totals", "sums", "listings", "sales")',
        '"totals", "listings", "sales")',
        ("tests/infrastructure/sqlite/test_snapshots.py::test_a_snapshot_holds_every_table_of_the_store",),
    ),
    Mutation(
        "a worker whose file was taken over goes on",
        "infrastructure/sqlite/log.py",
        "        if self._listener is not None and token != self._token:\n",
        "        if False:\n",
        ("tests/infrastructure/sqlite/test_sqlite.py",),
    ),
    Mutation(
        "what is published to a file that was moved is acknowledged",
        "infrastructure/sqlite/log.py",
        "            self._database.check_same_file()\n",
        "",
        ("tests/infrastructure/sqlite/test_conditions.py::test_a_moved_or_replaced_file_is_an_error",),
    ),
    Mutation(
        "a worker goes on in a child",
        "infrastructure/sqlite/log.py",
        "        if os.getpid() != self._process:\n",
        "        if False:\n",
        (
            "tests/infrastructure/sqlite/test_conditions.py::test_after_a_fork_the_child_cannot_use_the_pipeline_of_the_parent",
        ),
    ),
    Mutation(
        "connections are carried over a fork",
        "infrastructure/sqlite/connections.py",
        "        self._close()\n        self.number = next(_numbers)\n",
        "        self.number = next(_numbers)\n",
        ("tests/infrastructure/sqlite/test_conditions.py::test_after_a_fork_each_process_opens_its_own_connections",),
    ),
    Mutation(
        "a file that was in use at a fork is opened in the child",
        "infrastructure/sqlite/database.py",
        "        if is_inherited(self.path):\n",
        "        if False:\n",
        ("tests/infrastructure/sqlite/test_conditions.py::test_a_fork_during_a_transaction_is_an_error_in_the_child",),
    ),
    Mutation(
        "records that are gone from the log are passed over",
        "infrastructure/sqlite/log.py",
        "        if (not read and position < end) or (read and ",
        "        if False and (read and ",
        (
            "tests/infrastructure/sqlite/test_rebuild.py::test_unprocessed_records_deleted_by_another_program_stop_the_worker",
        ),
    ),
    Mutation(
        "a store is erased whose log has lost records",
        "infrastructure/sqlite/log.py",
        "            if partition in partitions and held != end - first:\n",
        "            if False:\n",
        ("tests/infrastructure/sqlite/test_rebuild.py::test_a_rebuild_is_refused_if_records_of_the_log_are_missing",),
    ),
    Mutation(
        "an older program appends to a file that was brought up",
        "infrastructure/sqlite/upgrade_6.sql",
        "ALTER TABLE records ADD COLUMN unused INTEGER;\n",
        "",
        ("tests/infrastructure/sqlite/test_schema.py",),
    ),
    Mutation(
        "a backup takes the name of the database's own journal",
        "infrastructure/sqlite/backups.py",
        "        if target.name in _side_files(database.name) and ",
        "        if False and ",
        ("tests/infrastructure/sqlite/test_backups.py::test_an_unusable_backup_name_is_refused_with_one_line",),
    ),
    Mutation(
        "positions are used again",
        "infrastructure/sqlite/log.py",
        '"SELECT next FROM log_partitions WHERE partition = ?"',
        '"SELECT ifnull(max(position) + 1, 0) FROM records WHERE partition = ?"',
        ("tests/infrastructure/sqlite/test_retention.py::test_positions_are_not_reused_after_all_records_are_deleted",),
    ),
    Mutation(
        "records are removed that a reader lacks",
        "infrastructure/sqlite/retention.py",
        "min(cells.position, sources.position, output_positions.position)",
        "cells.position",
        (
            "tests/infrastructure/sqlite/test_retention.py::test_records_that_views_or_outputs_still_need_are_not_deleted",
        ),
    ),
    Mutation(
        "records are removed that no snapshot has",
        "infrastructure/sqlite/retention.py",
        "min(expired_end, covered.get(partition, 0), ",
        "min(expired_end, ",
        ("tests/infrastructure/sqlite/test_retention.py::test_the_oldest_records_over_the_size_limit_are_deleted",),
    ),
    Mutation(
        "a removal goes by where the store stood before a rebuild",
        "infrastructure/sqlite/retention.py",
        "                end = min(expired_end, covered.get(partition, 0), processed.get(partition, (0, 0))[0])\n",
        "                end = expired_end\n",
        (
            "tests/infrastructure/sqlite/test_rebuild.py::test_a_rebuild_during_a_deletion_keeps_the_records_to_fold_again",
        ),
    ),
    Mutation(
        "damaged customers are taken into a snapshot",
        "infrastructure/sqlite/snapshots.py",
        "            _check_readable(name, rows)\n",
        "",
        ("tests/infrastructure/sqlite/test_snapshots.py::test_a_damaged_row_is_not_copied_into_a_snapshot",),
    ),
    Mutation(
        "a snapshot counts before it is complete",
        "infrastructure/sqlite/snapshots.py",
        "WHERE is_complete AND schema = ?",
        "WHERE schema = ?",
        ("tests/infrastructure/sqlite/test_snapshots.py::test_only_the_newest_complete_snapshot_is_retained",),
    ),
    Mutation(
        "a snapshot is of many moments, a backup too",
        "infrastructure/sqlite/database.py",
        '            connection.execute("BEGIN")\n',
        "",
        ("tests/infrastructure/sqlite/test_snapshots.py::test_a_snapshot_excludes_commits_made_while_it_is_taken",),
    ),
    Mutation(
        "a snapshot keeps who is forgotten",
        "infrastructure/sqlite/cells.py",
        ") WHERE newest IS NOT NULL\n",
        ") WHERE newest IS NULL\n",
        (
            "tests/infrastructure/sqlite/test_snapshots_and_forgetting.py::test_a_forgetting_is_not_done_while_a_snapshot_holds_the_customer",
        ),
    ),
    Mutation(
        "a snapshot keeps who was forgotten while it was taken",
        "infrastructure/sqlite/snapshots.py",
        '"cleared": newest or own or _NUMBER_MAX',
        '"cleared": _NUMBER_MAX',
        (
            "tests/infrastructure/sqlite/test_snapshots_and_forgetting.py::test_a_customer_forgotten_while_a_snapshot_is_taken_is_not_in_the_next",
        ),
    ),
    Mutation(
        "a snapshot keeps who was forgotten before, and again while it was taken",
        "infrastructure/sqlite/cells.py",
        "INSERT OR REPLACE INTO snapshot_forgotten",
        "INSERT OR IGNORE INTO snapshot_forgotten",
        (
            "tests/infrastructure/sqlite/test_snapshots_and_forgetting.py::test_a_forgotten_customer_restored_by_a_rebuild_is_not_in_the_next_snapshot",
        ),
    ),
    Mutation(
        "a forgetting is done before the older snapshot is deleted",
        "infrastructure/sqlite/snapshots.py",
        '            if not connection.execute(f"{_OLD_CHUNKS} LIMIT 1", retained).fetchone():\n',
        "            if True:\n",
        (
            "tests/infrastructure/sqlite/test_snapshots_and_forgetting.py::test_a_forgetting_is_not_done_before_the_older_snapshot_is_deleted",
        ),
    ),
    Mutation(
        "a snapshot of the store before a rebuild is completed",
        "infrastructure/sqlite/snapshots.py",
        '            connection.execute("DELETE FROM snapshots WHERE NOT is_complete")\n',
        "",
        ("tests/infrastructure/sqlite/test_rebuild.py::test_a_rebuild_abandons_a_snapshot_in_progress",),
    ),
    Mutation(
        "a damaged copy is a backup",
        "infrastructure/sqlite/backups.py",
        '            if damage != "ok":\n',
        "            if False:\n",
        ("tests/infrastructure/sqlite/test_backups.py::test_a_damaged_file_is_not_backed_up",),
    ),
    Mutation(
        "what is published for a dead letter is published again",
        "infrastructure/sqlite/dead_letters.py",
        "                if written.rowcount == 1:\n",
        "                if written.rowcount >= 0:\n",
        ("tests/infrastructure/sqlite/test_sqlite.py::TestSqliteDeadLetters",),
    ),
    Mutation(
        "publishing a dead letter and marking it are two steps",
        "infrastructure/sqlite/dead_letters.py",
        "                self._append(connection, records)\n",
        "                self._append(connection, records)\n                connection.execute('COMMIT; ')\n"
        "                connection.execute('BEGIN IMMEDIATE')\n",
        ("tests/infrastructure/sqlite/test_sqlite.py::TestSqliteDeadLetters",),
    ),
    Mutation(
        "dead letters are read on while a replay makes more of them",
        "infrastructure/sqlite/dead_letters.py",
        "            (partition, begin, last, BATCH_ROWS),\n",
        "            (partition, begin, 2**62, BATCH_ROWS),\n",
        ("tests/infrastructure/sqlite/test_sqlite.py::TestSqliteDeadLetters",),
    ),
    Mutation(
        "marks stay when their dead letters go",
        "infrastructure/sqlite/outputs.py",
        '        "DELETE FROM dead_letter_marks WHERE (partition, position) IN"\n',
        '        "DELETE FROM dead_letter_marks WHERE false AND (partition, position) IN"\n',
        ("tests/infrastructure/sqlite/test_sqlite.py::TestSqliteDeadLetters",),
    ),
]
