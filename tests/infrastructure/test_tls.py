"""TLS and authentication: a Kafka broker, and a Redis behind a proxy that terminates TLS."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread

import attrs
import pytest

from realtime_pipeline import Settings
from realtime_pipeline.application.errors import RecoverableError, Unavailable
from realtime_pipeline.infrastructure.kafka.settings import KafkaSettings
from realtime_pipeline.infrastructure.kafka.topics import KafkaTopics
from realtime_pipeline.infrastructure.redis.client import RedisClient
from realtime_pipeline.infrastructure.redis.settings import RedisSettings
from tests.support import servers
from tests.support.certificates import Certificates, certificates
from tests.support.histories import append, event, opened


class TlsProxy:
    """Terminates TLS, requires a client certificate, and forwards bytes to a server and back."""

    def __init__(self, address: str, certificates: Certificates) -> None:
        host, port = address.split(":")
        self._server = (host, int(port))
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certificates.authority)
        self._context.load_cert_chain(certificates.server)
        self._context.verify_mode = ssl.CERT_REQUIRED
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"localhost:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = [self._listener]
        Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Close the listener and all connections."""
        for opened_socket in self._open:
            with suppress(OSError):
                opened_socket.shutdown(socket.SHUT_RDWR)
            opened_socket.close()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client:  # SSLError is an OSError too
            inner = self._context.wrap_socket(client, server_side=True)
            server = socket.create_connection(self._server)
            self._open += [inner, server]
            Thread(target=self._forward, args=(server, inner), daemon=True).start()
            self._forward(inner, server)

    @staticmethod
    def _forward(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                target.sendall(data)
            target.shutdown(socket.SHUT_RDWR)


@pytest.fixture(scope="module")
def issued(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def encrypted(issued: Certificates) -> Iterator[RedisSettings]:
    """A Redis that accepts only TLS connections with a client certificate."""
    settings = servers.redis_settings()
    proxy = TlsProxy(settings.nodes, issued)
    yield attrs.evolve(
        settings,
        nodes=proxy.address,
        tls=True,
        tls_ca_file=str(issued.authority),
        tls_cert_file=str(issued.client),
        tls_key_file=str(issued.client),
    )
    proxy.close()


def test_a_pipeline_works_with_redis_over_tls(encrypted: RedisSettings) -> None:
    with opened(Settings(log="memory", store="redis", redis=encrypted)) as pipeline:
        append(pipeline, [event(product="mug"), event(product="jug")])
        pipeline.process()
        assert [item.product.title for item in pipeline.recommend("ada", 3)] == []
        assert {item.product.title for item in pipeline.trending()} == {"mug", "jug"}


def test_a_client_without_a_certificate_is_refused(encrypted: RedisSettings) -> None:
    nodes = RedisClient(attrs.evolve(encrypted, tls_cert_file="", tls_key_file=""))
    with pytest.raises(Unavailable, match="Redis"):  # the words depend on how far the handshake came
        nodes.check()
    nodes.close()


def test_a_redis_certificate_of_another_authority_is_an_error(encrypted: RedisSettings, issued: Certificates) -> None:
    nodes = RedisClient(attrs.evolve(encrypted, tls_ca_file=str(issued.stranger)))
    with pytest.raises(Unavailable, match="no TLS with Redis") as refused:
        nodes.check()
    assert not isinstance(refused.value, RecoverableError)
    nodes.close()


@pytest.mark.parametrize("name", ["nowhere.pem", "empty.pem"])
def test_unusable_client_certificates_are_an_error(encrypted: RedisSettings, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty.pem").touch()
    with pytest.raises(Unavailable, match="certificates for Redis cannot be used"):
        RedisClient(attrs.evolve(encrypted, tls_cert_file=str(tmp_path / name)))


@pytest.fixture(scope="module")
def sasl_settings() -> KafkaSettings:
    """A broker that accepts only TLS connections with user and password."""
    return servers.kafka_settings_signed_in()


def test_a_pipeline_works_with_kafka_over_tls_with_a_password(sasl_settings: KafkaSettings) -> None:
    with opened(Settings(log="kafka", store="memory", kafka=sasl_settings, partitions=1)) as pipeline:
        append(pipeline, [event(product="mug"), b"{"])
        pipeline.process()
        assert [item.product.title for item in pipeline.trending()] == ["mug"]
        assert len(pipeline.container.outputs().dead_letters(9)) == 1


@pytest.mark.parametrize(("user", "password"), [("ada", "guessed"), ("mallory", "a secret")])
def test_a_wrong_user_or_password_is_an_error(sasl_settings: KafkaSettings, user: str, password: str) -> None:
    topics = KafkaTopics(attrs.evolve(sasl_settings, username=user, password=password, request_timeout_ms=2_000))
    with pytest.raises(Unavailable, match="does not let this user in"):
        topics.describe(sasl_settings.topic)


def test_a_broker_certificate_of_another_authority_is_an_error(
    sasl_settings: KafkaSettings, issued: Certificates
) -> None:
    elsewhere = sasl_settings.librdkafka | {"ssl.ca.location": str(issued.stranger)}
    topics = KafkaTopics(attrs.evolve(sasl_settings, librdkafka=elsewhere, request_timeout_ms=2_000))
    with pytest.raises(Unavailable, match=r"no TLS with Kafka .*certificate"):
        topics.describe(sasl_settings.topic)
