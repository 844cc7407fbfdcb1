"""Safeguards of sources, files and mappings."""

from tests.mutation.mutation import Mutation

RUN = "tests/application/ingestion/test_run_source.py"
CHANGED_FILES = "tests/infrastructure/files/test_changed_files.py"
CSV = "tests/infrastructure/files/test_csv.py"
FORMATS = "tests/interfaces/cli/test_publish_formats.py"
SQLITE = "tests/infrastructure/sqlite/test_source_publisher.py"

MUTATIONS = [
    Mutation(
        "a source is acknowledged before its records are in the log",
        "application/ingestion/run_source.py",
        "        self._run._observer.reached(Stage.SOURCE_READ, len(batch.records))\n",
        "        self._source.acknowledge(batch.positions)\n"
        "        self._run._observer.reached(Stage.SOURCE_READ, len(batch.records))\n",
        (RUN,),
    ),
    Mutation(
        "what was published before a crash is never acknowledged",
        "application/ingestion/run_source.py",
        "            self._source.acknowledge(positions)  # the call",
        "            pass  # the call",
        (RUN,),
    ),
    Mutation(
        "a rate is not held",
        "application/ingestion/pace.py",
        "        if left_s > 0:\n",
        "        if False:\n",
        (RUN,),
    ),
    Mutation(
        "an earlier reader of a source goes on, in SQLite",
        "infrastructure/sqlite/source_publisher.py",
        "            if found is None or found[0] != self._epoch:\n",
        "            if False:\n",
        (SQLITE,),
    ),
    Mutation(
        "an earlier reader of a source goes on, in memory",
        "infrastructure/memory/source_publisher.py",
        "            if self._log.source_epochs.get(self._source) != self._epoch:\n",
        "            if False:\n",
        ("tests/infrastructure/memory/test_sources.py",),
    ),
    Mutation(
        "positions are not stored with the records, in SQLite",
        "infrastructure/sqlite/source_publisher.py",
        "                [(self._source, part, position, now_ms) for part, position in positions.items()],\n",
        "                [],\n",
        (SQLITE,),
    ),
    Mutation(
        "a file that was replaced is taken for the file before",
        "infrastructure/files/source.py",
        "            if known.head_bytes and not is_same(path, stat, known, is_packed):\n",
        "            if False:\n",
        (CHANGED_FILES,),
    ),
    Mutation(
        "a file that lost its end is read again",
        "infrastructure/files/identity.py",
        "    if stat[0] < known.offset:\n",
        "    if False:\n",
        (CHANGED_FILES,),
    ),
    Mutation(
        "half a line of a followed file is published",
        "infrastructure/files/lines.py",
        "            if size and is_final:\n",
        "            if size:\n",
        (CHANGED_FILES,),
    ),
    Mutation(
        "a stray quote swallows the rows after it",
        "infrastructure/files/formats.py",
        "                    self._single_until, end = lines[end - 1].number, at + 1\n",
        "                    row = whole\n",
        (CSV,),
    ),
    Mutation(
        "a ragged row is read as it comes",
        "infrastructure/files/formats.py",
        "        if len(fields) != len(self.header):\n",
        "        if False:\n",
        (CSV, FORMATS),
    ),
    Mutation(
        "money of another currency is taken for the shop's",
        "domain/mapping/currencies.py",
        "        if currency == self.currency:\n",
        "        if True:\n",
        (FORMATS,),
    ),
    Mutation(
        "a refund of a negative quantity is none",
        "domain/mapping/readers.py",
        "        if field.absolute:\n",
        "        if False:\n",
        (FORMATS,),
    ),
    Mutation(
        "a type erases a customer by chance",
        "domain/mapping/compiled.py",
        "        return UNMAPPED + type_ if self._only_types or type_ in _BY_MAPPING_ALONE else type_\n",
        "        return type_\n",
        ("tests/domain/mapping",),
    ),
    Mutation(
        "the lines of an order have one id",
        "domain/mapping/compiled.py",
        "        if index is not None and (own is None or not rule.ids_are_of_elements):\n",
        "        if False:\n",
        ("tests/domain/mapping", "tests/interfaces/cli/test_check.py"),
    ),
    Mutation(
        "a record that cannot be mapped is left out",
        "application/ingestion/prepare_records.py",
        "            return [self._unmapped(str(error), document, record.origin, mapping.customer(document))]\n",
        "            return []\n",
        (FORMATS,),
    ),
    Mutation(
        "an unreadable row is left out",
        "application/ingestion/prepare_records.py",
        "            return [self._unmapped(value.reason, value.raw, record.origin)]\n",
        "            return []\n",
        (FORMATS,),
    ),
    Mutation(
        "a custom event takes interest back",
        "domain/profile/customer.py",
        "        if applied.excluded or not (weight or kind is UNCARTED):",
        "        if applied.excluded:",
        ("tests/laws/test_pipeline_laws.py", "tests/domain"),
    ),
    Mutation(
        "a custom event needs a customer or a product",
        "infrastructure/codecs/event_builder.py",
        "        if customer_id is None and product_id is None and not kind.is_custom:\n",
        "        if customer_id is None and product_id is None:\n",
        ("tests/test_custom_events.py",),
    ),
]
