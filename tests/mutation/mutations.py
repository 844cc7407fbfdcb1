"""The safeguards: one line of the code each, and what it becomes when it is switched off."""

import attrs


@attrs.frozen
class Mutation:
    """One line of the code, and what it becomes; the tests named are run, in that order, until one notices."""

    name: str
    file: str
    line: str
    becomes: str
    tests: tuple[str, ...] = ("tests/domain", "tests/laws", "tests/application")


MUTATIONS = [
    Mutation(
        "one verdict for a whole batch",
        "domain/streams/fold.py",
        "            if recorded.verdict is not Verdict.APPLIED:\n",
        "            self.verdict = getattr(self, 'verdict', recorded.verdict)\n"
        "            if self.verdict is not Verdict.APPLIED:\n"
        "                recorded = type(recorded)(self.verdict)\n",
    ),
    Mutation(
        "no duplicate check",
        "domain/shop/event_memory.py",
        "        if found >= 0:\n",
        "        if False:\n",
    ),
    Mutation(
        "nothing is too old",
        "domain/shop/event_memory.py",
        "        if at_ms <= self.floor_ms and not replayed:\n",
        "        if False:\n",
    ),
    Mutation(
        "the tombstone refuses nothing",
        "domain/shop/customer.py",
        "        if at_ms <= self.forgotten_at_ms:\n",
        "        if False:\n",
    ),
    Mutation(
        "products trimmed by arrival",
        "domain/shop/customer.py",
        "        del times[min([product for product, at_ms in times.items() if at_ms == first_ms])]\n",
        "        del times[next(iter(times))]\n",
    ),
    Mutation(
        "sessions listed by arrival, in memory",
        "infrastructure/memory/views.py",
        "                del listed[min(listed, key=lambda one: (listed[one], one))]\n",
        "                del listed[next(iter(listed))]\n",
        ("tests/infrastructure/test_memory.py",),
    ),
    Mutation(
        "sessions listed by arrival, in SQLite",
        "infrastructure/sqlite/views.py",
        'WHERE product = ?1 ORDER BY at_ms DESC, session_key DESC LIMIT ?2)"',
        'WHERE product = ?1 ORDER BY session_key DESC LIMIT ?2)"',
        ("tests/infrastructure/test_sqlite.py",),
    ),
    Mutation(
        "no fence, in memory",
        "infrastructure/memory/cells.py",
        "        if (commit.epoch, commit.from_position, commit.number) != ",
        "        if False and () != ",
        ("tests/infrastructure/test_memory.py",),
    ),
    Mutation(
        "no fence, in SQLite",
        "infrastructure/sqlite/cells.py",
        "            if moved.rowcount != 1:\n",
        "            if False:\n",
        ("tests/infrastructure/test_sqlite.py",),
    ),
    Mutation(
        "an earlier owner may merge",
        "infrastructure/sqlite/views.py",
        "        if any(stands.get(one.partition, (0, 0))[0] != one.epoch for one in ranges):\n",
        "        if False:\n",
        ("tests/infrastructure/test_sqlite.py",),
    ),
    Mutation(
        "a merge may be repeated",
        "infrastructure/sqlite/views.py",
        "        if any(stands[one.partition][1] != one.from_position for one in ranges):\n",
        "        if False:\n",
        ("tests/infrastructure/test_sqlite.py",),
    ),
    Mutation(
        "a round is not one transaction",
        "infrastructure/sqlite/cells.py",
        "        with self._database.transaction():\n            yield\n",
        "        yield\n",
        ("tests/infrastructure/test_sqlite.py",),
    ),
    Mutation(
        "records are folded again when they are read again",
        "application/fold_records.py",
        "            if cell is not None and record.position >= cell.position:\n",
        "            if cell is not None:\n",
        ("tests/laws/test_pipeline_laws.py::test_reading_the_log_again_changes_nothing",),
    ),
    Mutation(
        "misrouted records are folded",
        "application/fold_records.py",
        "            if belongs != record.partition:\n",
        "            if False:\n",
        ("tests/application", "tests/laws"),
    ),
    Mutation(
        "memory survives a refusal",
        "application/process_events.py",
        "        self._held.clear()\n        self._sound = False\n",
        "        self._known = {n: c.customers for n, c in self._held.items()} or getattr(self, '_known', {})\n"
        "        self._held.clear()\n        self._sound = False\n"
        "        claimed, self._claimed = type(self)._claimed, lambda them: (\n"
        "            places := claimed(self, them),\n"
        "            [self._held[n].customers.update(self._known.get(n, {})) for n in places],\n"
        "        )[0]\n",
        ("tests/application", "tests/laws"),
    ),
    Mutation(
        "kept entries are not delivered",
        "application/claim_cells.py",
        "            self._readers.merge({cell.partition: cell})\n",
        "",
        ("tests/application", "tests/laws"),
    ),
    Mutation(
        "another log's records are folded",
        "application/process_events.py",
        "                    self._log.vouch()\n",
        "                    pass\n",
        ("tests/application/test_recovery.py",),
    ),
    Mutation(
        "who has caught up may owe something",
        "application/process_events.py",
        "                if any(cell.unmerged or cell.owed for cell in self._held.values()):\n",
        "                if False:\n",
        ("tests/application/test_recovery.py",),
    ),
    Mutation(
        "batches are not cut where a reader stands",
        "application/cells.py",
        "        return min(ahead, default=to_position)\n",
        "        return to_position\n",
        ("tests/application", "tests/laws"),
    ),
    Mutation(
        "an acknowledged publish is undone",
        "infrastructure/sqlite/log.py",
        "            self._stages.reached(Stage.APPENDED, len(records))\n",
        "            self._stages.reached(Stage.APPENDED, len(records))\n"
        '            connection.execute("ROLLBACK"); connection.execute("BEGIN")\n',
        ("tests/infrastructure/test_sqlite.py",),
    ),
]

MUTATIONS += [
    Mutation(
        "an acknowledged publish is not synced",
        "infrastructure/sqlite/database.py",
        "'FULL' if durable else 'NORMAL'",
        "'OFF'",
        ("tests/infrastructure/test_sqlite.py",),
    ),
    Mutation(
        "an interrupted poll is not read again",
        "application/process_events.py",
        "        self._sound = False  # until",
        "        # until",
        ("tests/application", "tests/laws"),
    ),
    Mutation(
        "a worker whose file was taken over goes on",
        "infrastructure/sqlite/log.py",
        "        if self._subscriber is not None and token != self._token:\n",
        "        if False:\n",
        ("tests/infrastructure/test_sqlite.py",),
    ),
]


REDIS = ("tests/infrastructure/test_redis.py", "tests/infrastructure/test_redis_servers.py")
KAFKA = ("tests/infrastructure/test_kafka.py",)
WORKER = ("tests/application/test_recovery.py",)
FUNCTIONS = "infrastructure/redis/functions.lua"

MUTATIONS += [
    Mutation(
        "no fence, in Redis",
        FUNCTIONS,
        "  if found[1] ~= args[1] or found[2] ~= args[2] or found[3] ~= args[3] then return {'FENCED'} end\n",
        "",
        REDIS,
    ),
    Mutation(
        "any epoch claims a cell in Redis",
        FUNCTIONS,
        "  if found[1] and not larger_number(args[1], found[1]) then return {'FENCED'} end\n",
        "",
        REDIS,
    ),
    Mutation(
        "any epoch claims the views in Redis",
        FUNCTIONS,
        "  if not larger_number(args[2], epoch) then return {'FENCED'} end\n",
        "",
        REDIS,
    ),
    Mutation(
        "an earlier owner may merge, in Redis",
        FUNCTIONS,
        "      if epoch ~= source[2] then return {'FENCED'} end\n",
        "",
        REDIS,
    ),
    Mutation(
        "a merge may be repeated, in Redis",
        FUNCTIONS,
        "  if not is_at then return superseded end\n",
        "",
        REDIS,
    ),
    Mutation(
        "an earlier owner may trim",
        FUNCTIONS,
        "  if redis.call('HGET', keys[1], 'epoch') ~= args[1] then return {'FENCED'} end\n",
        "",
        REDIS,
    ),
    Mutation(
        "a commit writes before it has checked",
        FUNCTIONS,
        "    if not is_hash(key) then return wrong_type(key) end\n",
        "",
        REDIS,
    ),
    Mutation(
        "a merge writes before it has checked",
        FUNCTIONS,
        "  if wrong then return wrong_type(wrong) end\n",
        "",
        REDIS,
    ),
    Mutation(
        "numbers may leave 64 bits",
        FUNCTIONS,
        "      if known and not is_whole(known) then return end\n",
        "",
        REDIS,
    ),
    Mutation(
        "numbers go through floats",
        FUNCTIONS,
        "local EXACT = 15",
        "local EXACT = 99",
        REDIS,
    ),
    Mutation(
        "facts are merged by arrival",
        FUNCTIONS,
        "  return at_ms > known_ms or",
        "  return true or",
        REDIS,
    ),
    Mutation(
        "the entry for the readers is not kept",
        FUNCTIONS,
        "  redis.call('XADD', keys[2], args[4] .. '-0', 'entry', args[9])",
        "",
        REDIS,
    ),
    Mutation(
        "any eviction policy will do",
        "infrastructure/redis/nodes.py",
        '                if str(info.get("maxmemory_policy", "")).startswith("allkeys"):\n',
        "                if False:\n",
        REDIS,
    ),
    Mutation(
        "entries go before the readers have them",
        "application/cells.py",
        " and cell.kept[0].to_position <= min(reported):\n",
        ":\n",
        WORKER,
    ),
    Mutation("entries go at once", "application/cells.py", "self.kept[0].since_ms <= until_ms", "until_ms > 0", WORKER),
    Mutation(
        "nobody looks back",
        "application/cells.py",
        "            if any(has < should for has, should in zip(reported, believed, strict=True)):\n",
        "            if False:\n",
        WORKER,
    ),
    Mutation(
        "a missing cell is begun anew",
        "application/claim_cells.py",
        "            if not found:\n",
        "            if False:\n",
        WORKER,
    ),
    Mutation(
        "without an answer all is well",
        "application/process_events.py",
        "            self._wait_out(silence)\n",
        "            self._sound = True\n",
        WORKER,
    ),
    Mutation(
        "a position outside the log is reset",
        "infrastructure/kafka/clients.py",
        '        "auto.offset.reset": "error",\n',
        '        "auto.offset.reset": "earliest",\n',
        KAFKA,
    ),
    Mutation(
        "records of aborted transactions are read",
        "infrastructure/kafka/clients.py",
        '        "isolation.level": "read_committed",\n',
        '        "isolation.level": "read_uncommitted",\n',
        KAFKA,
    ),
    Mutation(
        "a topic of the same name is the same log",
        "infrastructure/kafka/log.py",
        "        if (topic.topic_id, topic.partitions) != (self._identity.log_id, self._identity.partitions):\n",
        "        if False:\n",
        ("tests/integration/test_kafka_and_redis.py::test_a_topic_made_anew_under_a_worker_stops_it",),
    ),
    Mutation(
        "Kafka says where to read from",
        "infrastructure/kafka/log.py",
        "        begin = {**waiting, **positions}\n",
        "        begin = self._ends_of(numbers)\n",
        KAFKA,
    ),
    Mutation(
        "outputs are emitted beside their position",
        "infrastructure/kafka/outputs.py",
        "            lambda: producer.send_offsets_to_transaction(places, membership, wait_s),\n",
        "            lambda: None,\n",
        KAFKA,
    ),
    Mutation(
        "a lost delivery is an acknowledged one",
        "infrastructure/kafka/publisher.py",
        "            if error is not None:\n                failures.append(error)\n",
        "            _ = error\n",
        KAFKA,
    ),
    Mutation(
        "the visitor's own sessions are neighbours",
        "domain/recommendation/neighbours.py",
        "        times.pop(key, None)\n",
        "        pass\n",
        ("tests/domain/test_recommendation.py",),
    ),
    Mutation(
        "filters let everything pass",
        "domain/recommendation/ranking.py",
        "        if refusal is not None:\n",
        "        if False:\n",
        ("tests/domain/test_ranking.py",),
    ),
    Mutation(
        "what the customer dislikes is shown",
        "domain/recommendation/ranking.py",
        "    hidden = {*visitor.seen, *visitor.disliked, *pins}\n",
        "    hidden = {*visitor.seen, *pins}\n",
        ("tests/domain/test_ranking.py",),
    ),
    Mutation(
        "a call of Kafka's client is waited for, however long",
        "infrastructure/kafka/clients.py",
        "    if caller.is_alive():\n",
        "    if False:\n",
        ("tests/infrastructure/test_kafka.py",),
    ),
    Mutation(
        "who signed in is not forgotten with the customer",
        "domain/shop/customer.py",
        "        changes.visitors_forgotten.update(dict.fromkeys(self.visitors, at_ms))\n",
        "",
        ("tests/application/test_sign_in.py",),
    ),
    Mutation(
        "a visitor's later events are the visitor's",
        "domain/streams/fold.py",
        "            if event.kind is SIGNED_IN or"
        " (customer.forwards_to is not None and event.kind is not FORGOTTEN):\n",
        "            if event.kind is SIGNED_IN:\n",
        ("tests/application/test_sign_in.py",),
    ),
    Mutation(
        "what is for the log is not published with the rest",
        "infrastructure/kafka/outputs.py",
        "        for one in outgoing:\n",
        "        for one in ():\n",
        ("tests/infrastructure/test_kafka.py",),
    ),
]
