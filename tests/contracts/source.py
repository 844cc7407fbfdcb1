"""What all sources keep their word on."""

from realtime_pipeline.application.ports.source import Source, SourceBatch, SourceRecord

WAIT_S = 10.0


class SourceContract:
    """Each test fills an empty source of its own with documents, in order."""

    def source(self) -> Source:
        """The source, as a process opens it, which calls `open` itself; always of the same name."""
        raise NotImplementedError

    def fill(self, *names: str) -> None:
        """Add a record of the document `{"name": NAME}` for each name."""
        raise NotImplementedError

    def name_in(self, record: SourceRecord) -> str:
        """The name in the record's document."""
        raise NotImplementedError

    def _read(self, source: Source, count: int, records_max: int = 2_000) -> tuple[list[str], dict[str, str]]:
        """Read batches until so many records came; return their names, and the positions after them."""
        names, positions = list[str](), dict[str, str]()
        while len(names) < count:
            asked = min(records_max, count - len(names))
            batch = source.read(asked, WAIT_S)
            assert isinstance(batch, SourceBatch)
            assert len(batch.records) <= asked
            names += map(self.name_in, batch.records)
            positions |= batch.positions
        return names, positions

    def test_records_come_in_order(self) -> None:
        self.fill("a", "b", "c")
        source = self.source()
        source.open({})
        assert self._read(source, 3)[0] == ["a", "b", "c"]
        assert source.read(10, 0.0) is None or source.read(10, 0.0) is None
        source.close()

    def test_a_batch_has_at_most_so_many_records(self) -> None:
        self.fill(*"abcde")
        source = self.source()
        source.open({})
        assert self._read(source, 5, records_max=2)[0] == list("abcde")
        source.close()

    def test_reading_goes_on_behind_the_positions(self) -> None:
        self.fill("a", "b", "c", "d")
        source = self.source()
        source.open({})
        names, positions = self._read(source, 2, records_max=2)
        source.close()
        source = self.source()
        source.open(positions)
        assert names + self._read(source, 2)[0] == ["a", "b", "c", "d"]
        source.close()

    def test_what_was_not_acknowledged_is_read_again_with_the_same_ids(self) -> None:
        self.fill("a", "b", "c")
        ids = list[list[str]]()
        for _ in range(2):
            source, read = self.source(), list[str]()
            source.open({})
            while len(read) < 3:
                batch = source.read(3 - len(read), WAIT_S)
                assert batch is not None
                read += [record.id for record in batch.records]
            ids.append(read)
            source.close()
        assert ids[0] == ids[1]
        assert len(set(ids[0])) == len(ids[0])

    def test_what_comes_later_is_read_too(self) -> None:
        self.fill("a")
        source = self.source()
        source.open({})
        names, positions = self._read(source, 1)
        source.acknowledge(positions)
        self.fill("b")
        assert names + self._read(source, 1)[0] == ["a", "b"]
        source.close()

    def test_an_acknowledgement_may_be_lost_or_repeated(self) -> None:
        """The log has the positions; whoever was killed before the acknowledgement gives it at the next start."""
        self.fill("a", "b", "c")
        source = self.source()
        source.open({})
        _, positions = self._read(source, 1, records_max=1)
        source.close()
        source = self.source()
        source.open(positions)
        source.acknowledge(positions)
        source.acknowledge(positions)
        assert self._read(source, 2)[0] == ["b", "c"]
        source.close()

    def test_a_source_opens_again_after_it_was_closed(self) -> None:
        self.fill("a", "b")
        source = self.source()
        source.open({})
        _, positions = self._read(source, 1, records_max=1)
        source.close()
        source.open(positions)
        assert self._read(source, 1)[0] == ["b"]
        source.close()
        source.close()
