"""Results of windows in Redis: all keys of a definition in one slot, so that they are lost together or not at all."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import attrs

from realtime_pipeline.application.errors import Fenced
from realtime_pipeline.application.ports.window_results import Emitted, WindowResults
from realtime_pipeline.domain.analytics.results import WindowResult
from realtime_pipeline.infrastructure.codecs.window_results import decode_result, encode_key, encode_result
from realtime_pipeline.infrastructure.redis.client import Key, RedisClient
from realtime_pipeline.infrastructure.redis.connection import Request
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.settings import RedisSettings

_FIELDS: Final = ("emitted_ms", "settled_ms", "marked_ms", "marked_at_ms")
_NUMBER: Final = b"n"
"""The field with the number of results of the window; those of keys begin like JSON lists."""
READ_AT_ONCE: Final = 64
"""Windows of one round trip."""
WRITTEN_AT_ONCE: Final = 500
"""Results of one command: a longer one would block every reader of its node."""


class RedisWindowResults(WindowResults):
    """A hash for each window, a sorted set of their starts, another of when they were written.

    Results are written before their start is listed, and before the progress that counts them.
    """

    def __init__(self, client: RedisClient, settings: RedisSettings) -> None:
        self._client = client
        self._keys = Keys(settings.namespace)

    @property
    def is_lossless(self) -> bool:
        """A failover may lose what was written last."""
        return False

    def emitted(self, fingerprints: Collection[str]) -> Mapping[str, Emitted]:
        """Read how far the results of definitions are written."""
        names = [self._keys.results(fingerprint, "progress") for fingerprint in fingerprints]
        replies = self._client.execute([(name, ("HMGET", name, *_FIELDS)) for name in names])
        return {
            fingerprint: Emitted() if None in times else Emitted(*map(int, times))
            for fingerprint, times in zip(fingerprints, replies, strict=True)
        }

    def write(
        self,
        fingerprint: str,
        results: Sequence[WindowResult],
        emitted: Emitted,
        now_ms: int,
        before: Emitted | None = None,
    ) -> None:
        """Write results, and how far they go."""
        by_start: dict[int, list[bytes]] = {}
        for result in results:
            by_start.setdefault(result.start_ms, []).extend((encode_key(result), encode_result(result)))
        starts, written = self._keys.results(fingerprint, "starts"), self._keys.results(fingerprint, "written")
        for start_ms, encoded in by_start.items():
            name = self._result(fingerprint, start_ms)
            pairs = [_NUMBER, b"%d" % (len(encoded) // 2), *encoded]
            parts = [pairs[begin : begin + 2 * WRITTEN_AT_ONCE] for begin in range(0, len(pairs), 2 * WRITTEN_AT_ONCE)]
            requests: list[tuple[Key, Request]] = [(name, ("UNLINK", name))]
            requests += [(name, ("HSET", name, *part)) for part in parts]
            requests.append((starts, ("ZADD", starts, start_ms, str(start_ms))))
            requests.append((written, ("ZADD", written, now_ms, str(start_ms))))
            self._client.execute(requests)
        progress, known = (
            self._keys.results(fingerprint, "progress"),
            before or self.emitted([fingerprint])[fingerprint],
        )
        names = [progress, *(self._result(fingerprint, start_ms) for start_ms in by_start)]
        numbers = [len(encoded) // 2 for encoded in by_start.values()]
        times = (*attrs.astuple(known), *attrs.astuple(emitted))
        request: Request = ("FCALL", "rp12_emitted", len(names), *names, *times, *numbers)
        (reply,) = self._client.execute([(progress, request)], wait=True)
        if reply[0] != b"OK":
            raise Fenced(f"results of {fingerprint} are not written as far as they were")

    def write_again(self) -> None:
        """Forget how far results are written."""
        self._client.erase(self._keys.progress_pattern)

    def starts(self, fingerprint: str, from_ms: int, to_ms: int, limit: int) -> Sequence[int]:
        """The starts of the latest windows with results."""
        name = self._keys.results(fingerprint, "starts")
        request = ("ZRANGE", name, f"({to_ms}", str(from_ms), "BYSCORE", "REV", "LIMIT", "0", str(limit))
        return [int(start_ms) for start_ms in self._execute(name, request)]

    def read(self, fingerprint: str, starts_ms: Collection[int]) -> Mapping[int, Sequence[WindowResult]]:
        """Read the results of windows."""
        found: dict[int, Sequence[WindowResult]] = {}
        starts, replies = list(starts_ms), list[Any]()
        for begin in range(0, len(starts), READ_AT_ONCE):
            names = [self._result(fingerprint, start_ms) for start_ms in starts[begin : begin + READ_AT_ONCE]]
            replies += self._client.execute([(name, ("HGETALL", name)) for name in names])
        for start_ms, reply in zip(starts, replies, strict=True):
            fields = dict(reply) if isinstance(reply, Mapping) else dict(zip(reply[::2], reply[1::2], strict=True))
            number = int(fields.pop(_NUMBER, -1))
            if number == len(fields):  # else the window is being written
                found[start_ms] = [decode_result(value) for value in fields.values()]
        return found

    def expire(self, fingerprint: str, before_ms: int, limit: int) -> int:
        """Delete the results written before a time."""
        written, starts = self._keys.results(fingerprint, "written"), self._keys.results(fingerprint, "starts")
        request = ("ZRANGE", written, "-inf", f"({before_ms}", "BYSCORE", "LIMIT", "0", str(limit))
        expired = [int(start_ms) for start_ms in self._execute(written, request)]
        if expired:
            names = [self._result(fingerprint, start_ms) for start_ms in expired]
            members = list(map(str, expired))
            unlinks: list[tuple[Key, Request]] = [(name, ("UNLINK", name)) for name in names]
            removals: list[tuple[Key, Request]] = [(name, ("ZREM", name, *members)) for name in (starts, written)]
            self._client.execute([*unlinks, *removals])
        return len(expired)

    def _result(self, fingerprint: str, start_ms: int) -> str:
        return self._keys.results(fingerprint, f"result:{start_ms}")

    def _execute(self, key: Key, request: Request) -> Any:
        return self._client.execute([(key, request)])[0]
