"""Apache Kafka in KRaft mode on loopback: every node is broker and controller."""

import re
import shutil
import socket
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Final

from stream.errors import SandboxError
from stream.sandbox import kafka_probe
from stream.sandbox.install import cache_directory, installed, run
from stream.sandbox.part import Leash, Part, free_port
from stream.sandbox.tls import Certificates

RECIPE: Final = Path(__file__).with_name("kafka")
HEAP: Final = "-Xmx512m"
JVM_OPTIONS: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")
LOG_OPTIONS: Final = (
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config=warn",
)
SASL_USER: Final = "adjudicate"


@dataclass(frozen=True)
class KafkaOptions:
    """brokers: 1, or 3 with replication 3 and `min.insync.replicas` 2.

    properties: laid over the broker's own, by Kafka's names.
    java_options: instead of the archive of Kafka's classes.
    secure:     clients must use TLS and SASL/PLAIN, and brokers know each other by certificate.
    """

    brokers: int = 1
    properties: Mapping[str, str] = field(default_factory=dict)
    secure: bool = False
    java_options: tuple[str, ...] = ()


def missing_programs() -> list[str]:
    """Which of Java and Maven are needed and not there; Maven is not once Kafka is in the cache."""
    needed = ("java",) if (cache_directory() / jars_name()).is_dir() else ("java", "mvn")
    return [program for program in needed if shutil.which(program) is None]


def jars() -> Path:
    """The directory of Kafka's jars, fetched by Maven on the first call. Raises SandboxError."""
    return installed(jars_name(), _fetch)


def jars_name() -> str:
    return f"kafka-{sha256((RECIPE / 'pom.xml').read_bytes()).hexdigest()[:12]}"


def _fetch(target: Path) -> None:
    shutil.copy(RECIPE / "pom.xml", target)
    goal = ["dependency:copy-dependencies", f"-DoutputDirectory={target / 'libs'}"]
    run(["mvn", "-q", "-B", *goal], "fetch Apache Kafka with Maven", cwd=target)
    _format(target)


def _format(target: Path) -> None:
    """Format one node's storage; each start copies it, which spares a Java start per node."""
    settings = target / "format.properties"
    settings.write_text(
        "process.roles=broker,controller\nnode.id=1\nlisteners=C://127.0.0.1:1,B://127.0.0.1:2\n"
        "controller.listener.names=C\ninter.broker.listener.name=B\ncontroller.quorum.voters=1@127.0.0.1:1\n"
        f"listener.security.protocol.map=C:PLAINTEXT,B:PLAINTEXT\nlog.dirs={target / 'formatted'}\n"
    )
    tool = ["kafka.tools.StorageTool", "format", "-t", _random_id(), "-c", str(settings)]
    run([*java(target), *tool], "format Kafka's storage")


def _random_id() -> str:
    return urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")


def java(installation: Path, *options: str) -> list[str]:
    return ["java", HEAP, *JVM_OPTIONS, *LOG_OPTIONS, *options, "-cp", f"{installation / 'libs'}/*"]


def class_archive() -> Path:
    """Kafka's classes ready to map into memory, which halves a broker's start; made on the first call.

    The archive is of use to the Java that wrote it; any other ignores it. Raises SandboxError.
    """
    return installed(f"{jars().name}-classes", _archive_classes) / "kafka.jsa"


def _archive_classes(target: Path) -> None:
    leash = Leash()
    options = KafkaOptions(java_options=(f"-XX:ArchiveClassesAtExit={target / 'kafka.jsa'}",))
    cluster = KafkaCluster(options, target / "run", leash)
    try:
        cluster.start()
    finally:
        for part in cluster.parts:
            part.terminate(timeout_s=60)
        leash.close()
    shutil.rmtree(target / "run")


@dataclass(frozen=True)
class _Node:
    id: int
    clients: int
    controller: int
    internal: int


class KafkaCluster:
    """`options.brokers` nodes under `directory`. Nothing runs before `start`."""

    kind: Final = "apache-kafka"

    def __init__(self, options: KafkaOptions, directory: Path, leash: Leash) -> None:
        self.options = options
        self._directory = directory
        self._nodes = [_Node(number + 1, free_port(), free_port(), free_port()) for number in range(options.brokers)]
        self.bootstrap_servers = ",".join(f"127.0.0.1:{node.clients}" for node in self._nodes)
        self._certificates = Certificates(directory / "tls") if options.secure else None
        self._password = _random_id()
        self.parts = [self._part(node, leash) for node in self._nodes]

    @property
    def client_settings(self) -> dict[str, str]:
        """What a librdkafka client needs to connect, by librdkafka's names."""
        settings = {"bootstrap.servers": self.bootstrap_servers}
        if self._certificates is not None:
            settings |= {
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "PLAIN",
                "sasl.username": SASL_USER,
                "sasl.password": self._password,
                "ssl.ca.location": str(self._certificates.authority),
            }
        return settings

    def start(self) -> None:
        """Start all nodes and wait until each is known to the cluster. Raises SandboxError."""
        for node, part in zip(self._nodes, self.parts, strict=True):
            self._prepare(node)
            part.start()
        for part in self.parts:
            part.wait_ready()
        self.parts[0].wait_ready()

    def _part(self, node: _Node, leash: Leash) -> Part:
        home = self._home(node)
        options = self.options.java_options or (f"-XX:SharedArchiveFile={class_archive()}",)
        command = [*java(jars(), *options), "kafka.Kafka", str(home / "server.properties")]
        return Part(f"Kafka broker {node.id}", command, home / "kafka.log", lambda: self._is_ready(node), leash)

    def _home(self, node: _Node) -> Path:
        return self._directory / f"kafka-{node.id}"

    def _is_ready(self, node: _Node) -> bool:
        """Whether this broker answers, and lists itself in the cluster's metadata."""
        if not _accepts(node.clients):
            return False
        servers = {**self.client_settings, "bootstrap.servers": f"127.0.0.1:{node.clients}"}
        return f"127.0.0.1:{node.clients}" in kafka_probe.brokers(servers)

    def _prepare(self, node: _Node) -> None:
        home = self._home(node)
        shutil.copytree(jars() / "formatted", home / "data")
        meta = home / "data" / "meta.properties"
        text = re.sub(r"(?m)^node\.id=.*$", f"node.id={node.id}", meta.read_text())
        meta.write_text(re.sub(r"(?m)^directory\.id=.*$", f"directory.id={_random_id()}", text))
        properties = home / "server.properties"
        properties.touch(mode=0o600)
        properties.write_text("".join(f"{key}={value}\n" for key, value in self._properties(node).items()))

    def _properties(self, node: _Node) -> dict[str, str]:
        shared = read_properties((RECIPE / "server.properties").read_text().splitlines())
        replicas = min(3, self.options.brokers)
        return {
            **shared,
            **self._addresses(node),
            **replication(replicas),
            **(self._security() if self._certificates else {}),
            **self.options.properties,
        }

    def _addresses(self, node: _Node) -> dict[str, str]:
        voters = (f"{other.id}@127.0.0.1:{other.controller}" for other in self._nodes)
        clients, internal, controller = (
            f"{name}://127.0.0.1:{port}"
            for name, port in (
                ("CLIENTS", node.clients), ("INTERNAL", node.internal), ("CONTROLLER", node.controller)
            )
        )  # fmt: skip
        return {
            "process.roles": "broker,controller",
            "node.id": str(node.id),
            "controller.quorum.voters": ",".join(voters),
            "listeners": f"{clients},{internal},{controller}",
            "advertised.listeners": f"{clients},{internal}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "INTERNAL",
            "listener.security.protocol.map": "CLIENTS:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self._home(node) / "data"),
            # A killed broker may come back, and its partitions move, only after this time.
            "broker.session.timeout.ms": "5000",
            "broker.heartbeat.interval.ms": "1000",
        }

    def _security(self) -> dict[str, str]:
        if self._certificates is None:
            raise SandboxError("this Kafka cluster has no certificates")
        login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        return {
            "listener.security.protocol.map": "CLIENTS:SASL_SSL,INTERNAL:SSL,CONTROLLER:SSL",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "true",
            "listener.name.internal.ssl.client.auth": "required",
            "listener.name.controller.ssl.client.auth": "required",
            "listener.name.clients.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.clients.plain.sasl.jaas.config": f'{login} user_{SASL_USER}="{self._password}";',
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._certificates.server),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self._certificates.authority),
        }


def replication(replicas: int) -> dict[str, str]:
    """Kafka's own topics and new ones survive the loss of one broker as soon as there are three."""
    in_sync = str(replicas // 2 + 1)
    return {
        "default.replication.factor": str(replicas),
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": str(replicas),
        "transaction.state.log.replication.factor": str(replicas),
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": str(replicas),
        "share.coordinator.state.topic.min.isr": in_sync,
    }


def read_properties(lines: Iterable[str]) -> dict[str, str]:
    """`key=value` lines; `#` starts a comment line."""
    settings = (line.strip() for line in lines)
    pairs = (line.partition("=") for line in settings if line and not line.startswith("#"))
    return {key.strip(): value.strip() for key, _, value in pairs}


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0
