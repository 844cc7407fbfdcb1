"""A small Kinesis for what moto does not imitate: shards that end, expired iterators, refusals, unknown positions."""

import base64
import json
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import attrs

START = 49_590_338_271_490_256_608_559_692_538_361_571_095_921_575_989_136_588_898
"""Sequence numbers are as long as those of Kinesis."""


@attrs.define
class StubShard:
    """A shard: its records as (sequence number, arrival in s, data), and whether it was split or merged."""

    parents: tuple[str, ...] = ()
    records: list[tuple[int, float, bytes]] = attrs.Factory(list)
    is_closed: bool = False


class StubStream:
    """A stream; `refusals` are the errors that the next calls of an operation are answered with."""

    def __init__(self) -> None:
        self.created_s = time.time() - 3_600
        self.retention_hours = 24
        self.shards: dict[str, StubShard] = {"shardId-000000000000": StubShard()}
        self.refusals: defaultdict[str, deque[str]] = defaultdict(deque)
        self.calls: list[str] = []
        self._number = START
        self._iterators = 0

    def put(self, *values: bytes, shard: int = 0) -> None:
        """Append records to a shard."""
        for value in values:
            self._number += 1
            self.shards[f"shardId-{shard:012}"].records.append((self._number, time.time(), value))

    def replace(self, *parents: int, children: int) -> None:
        """Close shards, as a split or a merge does, and open new ones."""
        names = tuple(f"shardId-{parent:012}" for parent in parents)
        for name in names:
            self.shards[name].is_closed = True
        for _ in range(children):
            self.shards[f"shardId-{len(self.shards):012}"] = StubShard(names)

    def expire_iterators(self) -> None:
        """Refuse all iterators that were given up to now, as Kinesis does after five minutes."""
        self._iterators += 1

    def answer(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        """Answer a call."""
        self.calls.append(operation)
        if self.refusals[operation]:
            raise _RefusedError(self.refusals[operation].popleft(), "refused by the test")
        return getattr(self, f"_{operation}")(request)  # type: ignore[no-any-return]

    def _DescribeStreamSummary(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {
            "StreamDescriptionSummary": {
                "StreamName": request["StreamName"],
                "RetentionPeriodHours": self.retention_hours,
                "StreamCreationTimestamp": self.created_s,
            }
        }

    def _ListShards(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        """Two shards a page."""
        begin, names = int(request.get("NextToken", 0)), list(self.shards)
        shards = []
        for name in names[begin : begin + 2]:
            shard: dict[str, Any] = {"ShardId": name}
            shard |= dict(zip(("ParentShardId", "AdjacentParentShardId"), self.shards[name].parents, strict=False))
            shards.append(shard)
        return {"Shards": shards} | ({"NextToken": str(begin + 2)} if begin + 2 < len(names) else {})

    def _GetShardIterator(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        number = int(request.get("StartingSequenceNumber", 0))
        if number and not START < number <= self._number:
            raise _RefusedError("InvalidArgumentException", f"{number} is invalid because it did not come from here")
        return {"ShardIterator": self._iterator(request["ShardId"], number)}

    def _iterator(self, shard: str, after: int) -> str:
        return f"{shard}/{after}/{self._iterators}"

    def _GetRecords(self, request: dict[str, Any]) -> dict[str, Any]:  # noqa: N802
        name, after, given = request["ShardIterator"].split("/")
        if int(given) != self._iterators:
            raise _RefusedError("ExpiredIteratorException", "Iterator expired")
        shard = self.shards[name]
        unread = [record for record in shard.records if record[0] > int(after)]
        found = unread[: request["Limit"]]
        last = found[-1][0] if found else int(after)
        is_ended = shard.is_closed and len(found) == len(unread)
        return {
            "Records": [
                {
                    "SequenceNumber": str(number),
                    "ApproximateArrivalTimestamp": arrived_s,
                    "Data": base64.b64encode(data).decode(),
                    "PartitionKey": "all",
                }
                for number, arrived_s, data in found
            ],
            "NextShardIterator": None if is_ended else self._iterator(name, last),
            "MillisBehindLatest": 1_000 * (len(unread) - len(found)),
        }


class _RefusedError(Exception):
    pass


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stream: ClassVar[StubStream]

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        operation, status = self.headers["X-Amz-Target"].rpartition(".")[2], 200
        try:
            reply = self.stream.answer(operation, request)
        except _RefusedError as error:
            reply, status = {"__type": error.args[0], "message": error.args[1]}, 400
        if self.server.is_ended:  # type: ignore[attr-defined]  # connections outlive the server
            self.close_connection = True
            return
        body = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Be silent."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    is_ended = False


@contextmanager
def stub_server(stream: StubStream, port: int = 0) -> Iterator[str]:
    """Serve a stream; the address of the server."""
    handler = type("Handler", (_Handler,), {"stream": stream})
    with _Server(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.is_ended = True
            server.shutdown()
            thread.join()
