"""TtlCache: values by key, each read again once it is too old."""

from bisect import insort
from collections import deque
from collections.abc import Callable, Collection, Mapping
from operator import itemgetter
from threading import Lock
from typing import Generic, TypeVar

from realtime_pipeline.application.ports.clock import Clock

K = TypeVar("K")
V = TypeVar("V")


class TtlCache(Generic[K, V]):
    """Caches values that were read from a store; safe to call from any thread.

    Values expire `ttl_ms` after they were read; beyond `limit` values the oldest reads are evicted. Each read is
    evicted as a whole, by the next call, so that no call has to evict everything at once.

    Args:
        clock: tells the time in ms.
        ttl_ms: the age in ms at which a value expires; 0 caches nothing.
        limit: how many values are cached at most.
        is_cacheable: whether a value may be cached; all may without it.
    """

    def __init__(
        self, clock: Clock, ttl_ms: int, limit: int, is_cacheable: Callable[[K, V], bool] | None = None
    ) -> None:
        self._clock = clock
        self._ttl_ms = ttl_ms
        self._limit = limit
        self._is_cacheable = is_cacheable
        self._cached: dict[K, V] = {}
        self._reads: deque[tuple[int, Collection[K]]] = deque()  # by time, the keys that each read cached
        self._lock = Lock()

    def __call__(self, keys: Collection[K], read: Callable[[list[K]], Mapping[K, V]]) -> dict[K, V]:
        """Return the values of keys; `read` is called once for all keys that are not cached, without a lock.

        A key for which `read` returns no value is left out.
        """
        now_ms = self._clock.now_ms()
        with self._lock:
            self._evict(now_ms)
            cached = self._cached
            found = {key: cached[key] for key in keys if key in cached}
        missing = [key for key in keys if key not in found]
        if missing:
            values = read(missing)
            found.update(values)
            cacheable = values
            if self._is_cacheable is not None:
                cacheable = {key: value for key, value in values.items() if self._is_cacheable(key, value)}
            if cacheable:
                with self._lock:
                    self._cached.update(cacheable)
                    insort(self._reads, (now_ms, cacheable.keys()), key=itemgetter(0))  # a slow read may be overtaken
        return found

    def _evict(self, now_ms: int) -> None:
        reads, cached = self._reads, self._cached
        while reads and reads[-1][0] > now_ms:  # the clock was set back
            for key in reads.pop()[1]:
                cached.pop(key, None)
        while reads and (not 0 <= now_ms - reads[0][0] < self._ttl_ms or len(cached) > self._limit):
            for key in reads.popleft()[1]:
                cached.pop(key, None)
