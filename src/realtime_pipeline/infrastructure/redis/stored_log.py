"""The log that a store in Redis was built from; the key `meta` names it."""

from realtime_pipeline.application.ports.event_log import LogIdentity
from realtime_pipeline.application.routing import CONSISTENT, PARTITIONERS
from realtime_pipeline.domain.shop.events import CustomerId, routing_key
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.keys import Keys
from realtime_pipeline.infrastructure.redis.settings import RedisSettings


class StoredLog:
    """The partitions of the log, and the partition of each customer; read from the store once, at the first use.

    A store that no worker has bound yet is empty: then one partition is assumed, and the next call reads again.
    """

    def __init__(self, client: RedisClient, settings: RedisSettings) -> None:
        self._client = client
        self._settings = settings
        self._meta = Keys(settings.namespace).meta
        self._known: tuple[int, str] | None = None

    def is_bound_to(self, identity: LogIdentity) -> None:
        """Set the log that the store is bound to."""
        self._known = identity.partitions, identity.partitioner

    @property
    def partitions(self) -> int:
        """The number of the log's partitions."""
        return self._read()[0]

    def partition_of(self, customer_id: CustomerId) -> int:
        """The partition that a customer's key belongs to."""
        partitions, partitioner = self._read()
        return PARTITIONERS[partitioner](routing_key(customer_id).encode(), partitions)

    def _read(self) -> tuple[int, str]:
        if self._known is None:
            request = ("HMGET", self._meta, "built_from", "layout", "view_cells")
            ((built_from, layout, view_cells),) = self._client.execute([(self._meta, request)])
            self._settings.check_layout(layout, view_cells)
            if built_from is None:
                return 1, CONSISTENT
            _, partitions, partitioner = built_from.decode().rsplit("/", 2)
            self._known = int(partitions), partitioner
        return self._known
