"""Safeguards of the log in Kafka."""

from tests.mutation.mutation import Mutation

LOST_OFFSETS = "tests/integration/test_lost_offsets.py"

MUTATIONS = [
    Mutation(
        "a position outside the log is reset",
        "infrastructure/kafka/clients.py",
        '        "auto.offset.reset": "error",\n',
        '        "auto.offset.reset": "earliest",\n',
        ("tests/infrastructure/kafka/test_log.py::test_a_position_outside_the_log_stops_the_worker",),
    ),
    Mutation(
        "records of aborted transactions are read",
        "infrastructure/kafka/clients.py",
        '        "isolation.level": "read_committed",\n',
        '        "isolation.level": "read_uncommitted",\n',
        ("tests/infrastructure/kafka/test_log.py::test_records_of_an_aborted_transaction_are_not_read",),
    ),
    Mutation(
        "a topic of the same name is the same log",
        "infrastructure/kafka/topic_identity.py",
        "        if (topic.topic_id, topic.partitions) != (self.log.log_id, self.log.partitions):\n",
        "        if False:\n",
        ("tests/integration/test_changed_topics.py::test_a_topic_made_again_under_a_worker_stops_it",),
    ),
    Mutation(
        "Kafka says where to read from",
        "infrastructure/kafka/assignment.py",
        "        starts = {**paused, **positions}\n",
        "        starts = self._ends_of(numbers)\n",
        ("tests/infrastructure/kafka/test_contracts.py::TestKafkaLog::test_reading_begins_where_the_owner_says",),
    ),
    Mutation(
        "outputs are emitted beside their position",
        "infrastructure/kafka/outputs.py",
        "            lambda: producer.send_offsets_to_transaction(offsets, group_metadata, timeout_s),\n",
        "            lambda: None,\n",
        ("tests/infrastructure/kafka/test_contracts.py::TestKafkaOutputs::test_emitted_dead_letters_are_read_back",),
    ),
    Mutation(
        "a lost delivery is an acknowledged one",
        "infrastructure/kafka/publisher.py",
        "            if error is not None:\n                failures.append(error)\n                return\n",
        "            _ = error\n",
        ("tests/infrastructure/kafka/test_publisher.py::test_publishing_fails_if_brokers_reject_a_record",),
    ),
    Mutation(
        "a call of Kafka's client is waited for, however long",
        "infrastructure/kafka/clients.py",
        "    if thread.is_alive():\n",
        "    if False:\n",
        ("tests/infrastructure/kafka/test_clients.py::test_a_client_call_that_does_not_return_is_abandoned",),
    ),
    Mutation(
        "what is for the log is not published with the rest",
        "infrastructure/kafka/outputs.py",
        "        for outgoing in emission.outgoing:\n",
        "        for outgoing in ():\n",
        (
            "tests/infrastructure/kafka/test_contracts.py::TestKafkaOutputs::test_outgoing_records_are_appended_once_with_the_dead_letters",
        ),
    ),
    Mutation(
        "who handles dead letters does not shut others out",
        "infrastructure/kafka/dead_letters.py",
        '                "transactional.id": f"{self._settings.dead_letters_topic}-handling",\n',
        '                "transactional.id": f"{self._settings.dead_letters_topic}-{id(self)}",\n',
        (
            "tests/infrastructure/kafka/test_dead_letters.py::TestKafkaDeadLetters::test_only_one_of_two_concurrent_programs_publishes",
        ),
    ),
    Mutation(
        "marks that an open transaction hides are not waited for",
        "infrastructure/kafka/dead_letters.py",
        "                ranges = self._topic.bounds(IsolationLevel.READ_UNCOMMITTED)\n",
        "                ranges = self._topic.bounds(IsolationLevel.READ_COMMITTED)\n",
        (
            "tests/infrastructure/kafka/test_dead_letters.py::TestKafkaDeadLetters::test_a_mark_hidden_by_an_open_transaction_prevents_a_second_one",
        ),
    ),
    Mutation(
        "offsets that other tools have written are believed",
        "infrastructure/kafka/group_offsets.py",
        '    return offset.offset >= 0 and (offset.metadata or "").startswith(EPOCH)\n',
        "    return offset.offset >= 0\n",
        (f"{LOST_OFFSETS}::test_offsets_lost_while_nothing_is_pending_are_recovered_from_the_store",),
    ),
    Mutation(
        "records of which the topic has no more are taken for not emitted",
        "infrastructure/kafka/emitted.py",
        "    return search.position if is_whole and not search.is_foreign else None\n",
        "    return search.position\n",
        (f"{LOST_OFFSETS}::test_outputs_in_doubt_stop_the_worker_with_the_command_that_mends_it",),
    ),
]
