"""A Kafka broker on this machine: its jars from Maven, one process, no container."""

import os
import shutil
import socket
import subprocess
import tempfile
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import attrs

from harness.services.process import ServerProcess, free_port
from harness.support.errors import HarnessError

ROOT = Path(__file__).parents[2]
READY_S = 60.0
FETCH_S = 600

RESTART_OPTIONS = ("--override", "transaction.abort.timed.out.transaction.cleanup.interval.ms=30000")
"""Options that start a broker after a kill. On a busy machine it needs more than the usual 5 s to be ready, and a
broker that aborts a transaction before it is ready loses the transaction's end marker (docs/exactly-once.md)."""

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.io.buffer.size=131072
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=1000
group.min.session.timeout.ms=1000
group.consumer.min.heartbeat.interval.ms=500
group.consumer.heartbeat.interval.ms=500
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=3000
transaction.abort.timed.out.transaction.cleanup.interval.ms=5000
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=true
"""
"""Clients without a user may do everything; users may do everything that no ACL denies them."""


SIGNED_IN = """\
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller},SASL_SSL://127.0.0.1:{encrypted}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://localhost:{encrypted}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
ssl.keystore.type=PEM
ssl.keystore.location={key_file}
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
  user_{user}="{password}";
"""
"""Appended to the properties: of a repeated property, the last line counts."""


@attrs.frozen
class SaslListener:
    """A second listener: TLS with the key and certificates of a PEM file, for a user with a password (SASL PLAIN)."""

    key_file: Path
    user: str
    password: str = attrs.field(repr=False)
    port: int = attrs.Factory(free_port)

    @property
    def endpoint(self) -> str:
        """Host, as in the certificate, and port."""
        return f"localhost:{self.port}"


def libraries() -> Path:
    """The folder of the broker's jars, once they were fetched."""
    return Path(os.environ.get("REALTIME_PIPELINE_SERVICES", ROOT / "var" / "services")) / "kafka-4.4.0"


def kafka_missing_reason() -> str | None:
    """Why no broker can run on this machine; None where it can."""
    if shutil.which("java") is None:
        return "there is no Kafka: it needs Java 17 or newer"
    if not libraries().is_dir() and shutil.which("mvn") is None:
        return "there is no Kafka: its jars are fetched by Maven (mvn), which is missing"
    return None


def fetch() -> Path:
    """Download the broker's jars, unless the folder exists: all of them or none.

    Raises:
        HarnessError: the download has failed.
    """
    place = libraries()
    if place.is_dir():
        return place
    reason = kafka_missing_reason()
    if reason is not None:
        raise HarnessError(reason)
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        shutil.copy(ROOT / "deploy" / "kafka" / "pom.xml", folder)
        command = ["mvn", "-B", "-ntp", "-q", "dependency:copy-dependencies", "-DincludeScope=runtime"]
        command.append(f"-DoutputDirectory={folder}/libs")
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True, timeout=FETCH_S)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            output = str(error.stdout or error)[-500:].replace("\n", " | ")
            raise HarnessError(f"Kafka's jars cannot be fetched: {output}") from None
        try:
            (Path(folder) / "libs").rename(place)
        except OSError:
            if not place.is_dir():  # else another process was faster
                raise
    return place


class KafkaBroker:
    """One broker that is its own controller, on the loopback interface."""

    def __init__(
        self, folder: Path, port: int | None = None, heap_mb: int = 256, signed_in: SaslListener | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.port = port or free_port()
        self._properties = folder / "server.properties"
        classpath = f"{fetch()}/*"
        log4j = f"-Dlog4j2.configurationFile={ROOT / 'deploy' / 'kafka' / 'log4j2.properties'}"
        self._java = ["java", "-XX:+UseSerialGC", log4j, "-cp", classpath]
        if not self._properties.exists():
            self._properties.write_text(self._settings(signed_in), "utf-8")
            self._format()
        command = [*self._java[:1], f"-Xms{heap_mb}m", f"-Xmx{heap_mb}m", *self._java[1:]]
        command += ["kafka.Kafka", str(self._properties)]
        self.process = ServerProcess("Kafka", command, folder / "kafka.log", self._answers, READY_S)

    @property
    def endpoint(self) -> str:
        """Host and port, as settings name them."""
        return f"127.0.0.1:{self.port}"

    def _settings(self, signed_in: SaslListener | None) -> str:
        controller = free_port()
        settings = PROPERTIES.format(port=self.port, controller=controller, folder=self._folder)
        if signed_in is not None:
            settings += SIGNED_IN.format(
                port=self.port,
                controller=controller,
                encrypted=signed_in.port,
                key_file=signed_in.key_file,
                user=signed_in.user,
                password=signed_in.password,
            )
        return settings

    def _format(self) -> None:
        cluster = "c" + urlsafe_b64encode(uuid4().bytes).decode()[:21]  # with a first -, it would be an option
        command = [*self._java[:1], "-Xmx128m", "-XX:TieredStopAtLevel=1", *self._java[1:]]
        command += ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=READY_S, check=False)
        if ended.returncode != 0:
            raise HarnessError(f"Kafka's folder cannot be formatted: {(ended.stdout + ended.stderr)[-500:]}")

    def _answers(self) -> bool:
        """Whether the broker is ready: only then it opens its port."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def kafka_broker(
    folder: Path, port: int | None = None, heap_mb: int = 256, signed_in: SaslListener | None = None
) -> Iterator[KafkaBroker]:
    """Run a broker; stop it at the end."""
    broker = KafkaBroker(folder, port, heap_mb, signed_in)
    broker.process.start()
    try:
        yield broker
    finally:
        broker.process.stop()
