"""Amazon Kinesis on this machine, as the package moto imitates it; its streams are in memory."""

import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

import boto3

from harness.services.process import ServerProcess, free_port
from harness.support.errors import HarnessError

if TYPE_CHECKING:
    from mypy_boto3_kinesis import KinesisClient

READY_S: Final = 30.0
REGION: Final = "eu-central-1"
_PUT_RECORDS_MAX: Final = 500


def kinesis_missing_reason() -> str | None:
    """Why no Kinesis can run on this machine; None where it can."""
    if find_spec("moto") is None or find_spec("flask") is None:
        return "there is no Kinesis: install the packages moto and flask"
    return None


def kinesis_client(endpoint: str) -> "KinesisClient":
    """Make a client of a server on this machine."""
    return boto3.session.Session().client(
        "kinesis",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id="any",
        aws_secret_access_key="any",  # noqa: S106  # the server takes any
    )


class KinesisServer:
    """A server on the loopback interface. It takes any credentials, and forgets its streams when it ends."""

    def __init__(self, folder: Path, port: int | None = None) -> None:
        reason = kinesis_missing_reason()
        if reason is not None:
            raise HarnessError(reason)
        folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        command = [sys.executable, "-m", "moto.server", "-p", str(self.port), "-H", "127.0.0.1"]
        self.process = ServerProcess("Kinesis", command, folder / "kinesis.log", self._answers, READY_S)

    @property
    def endpoint(self) -> str:
        """The address, as settings name it."""
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> "KinesisClient":
        """Make a client of this server."""
        return kinesis_client(self.endpoint)

    def fill(self, stream: str, values: Iterable[bytes], key: str = "all") -> None:
        """Append values, all with the same partition key, so that they are in order."""
        client, left = self.client(), iter(values)
        while batch := list(islice(left, _PUT_RECORDS_MAX)):
            client.put_records(StreamName=stream, Records=[{"Data": value, "PartitionKey": key} for value in batch])
        client.close()

    def _answers(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def kinesis_server(folder: Path, port: int | None = None) -> Iterator[KinesisServer]:
    """Run a server; stop it at the end."""
    server = KinesisServer(folder, port)
    server.process.start()
    try:
        yield server
    finally:
        server.process.stop()
