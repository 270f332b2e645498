"""The local stack as a whole: what is started, where it listens, and that it is all gone afterwards."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Final, Self

from stream import kafka
from stream.errors import SandboxError
from stream.sandbox import kafka_cluster, redis_server
from stream.sandbox.kafka_cluster import KafkaCluster, KafkaOptions
from stream.sandbox.mock_kafka import MockCluster
from stream.sandbox.part import Leash, Part
from stream.sandbox.progress import Steps
from stream.sandbox.redis_server import RedisServer
from stream.sandbox.triton_server import TritonOptions, TritonServer
from stream.settings import KafkaSettings, TopicSettings

STOP_TIMEOUT_S: Final = 5.0
"""Less than a single part's: of several brokers the last finds no quorum to sign off from."""

TOPICS: Final = TopicSettings().every()
DEFAULT_PARTITIONS: Final = 4

_SETTING_OF: Final = {
    "bootstrap.servers": "bootstrap_servers",
    "security.protocol": "security_protocol",
    "sasl.mechanism": "sasl_mechanism",
    "sasl.username": "sasl_username",
    "sasl.password": "sasl_password",
    "ssl.ca.location": "ssl_ca",
}


class Sandbox:
    """Real Kafka, Triton and Redis on free loopback ports, as child processes that die with this one.

    directory: for data and logs; by default a temporary one, removed on `stop`.
    redis:     start Redis; where `redis-server` is missing there is none, and `redis_url` is None.

    Use as a context manager. Raises SandboxError, naming the part, its log and the log's last lines.
    """

    def __init__(
        self,
        directory: Path | None = None,
        *,
        brokers: int = 1,
        redis: bool = True,
        triton: bool = True,
        kafka_options: KafkaOptions | None = None,
        triton_options: TritonOptions | None = None,
    ) -> None:
        self._given_directory = directory
        self._kafka_options = kafka_options or KafkaOptions(brokers=brokers)
        self._triton_options = (triton_options or TritonOptions()) if triton else None
        self._wants_redis = redis and redis_server.is_available()
        self._leash: Leash | None = None
        self._cluster: KafkaCluster | MockCluster | None = None
        self.missing_programs = kafka_cluster.missing_programs()
        self.triton: TritonServer | None = None
        self.redis: RedisServer | None = None
        self.directory = Path()

    # What was started

    @property
    def cluster(self) -> KafkaCluster | MockCluster:
        if self._cluster is None:
            raise SandboxError("Kafka is not running in this sandbox")
        return self._cluster

    @property
    def kafka(self) -> list[Part]:
        """One handle per broker; none for the mock."""
        return self.cluster.parts

    @property
    def kind(self) -> str:
        """`apache-kafka`, or `mock` where Java or Maven are missing."""
        return self.cluster.kind

    @property
    def bootstrap_servers(self) -> str:
        return self.cluster.bootstrap_servers

    @property
    def kafka_settings(self) -> dict[str, str]:
        """What a librdkafka client needs to connect, TLS and SASL included."""
        return self.cluster.client_settings

    @property
    def settings(self) -> dict[str, dict[str, str]]:
        """The sections of a worker's settings that say where these servers are, by `stream.settings`' names."""
        sections = {"kafka": {_SETTING_OF[name]: value for name, value in self.kafka_settings.items()}}
        if self.triton:
            sections["triton"] = {"url": self.triton.grpc}
        if self.redis:
            sections["redis"] = {"url": self.redis.url}
        return sections

    @property
    def environment(self) -> dict[str, str]:
        """The same as environment variables, for worker processes."""
        return {
            f"ADJUDICATE_{section.upper()}__{name.upper()}": value
            for section, values in self.settings.items()
            for name, value in values.items()
        }

    @property
    def running_triton(self) -> TritonServer:
        """Raises SandboxError where there is none."""
        if self.triton is None:
            raise SandboxError("Triton is not running in this sandbox")
        return self.triton

    @property
    def running_redis(self) -> RedisServer:
        """Raises SandboxError where there is none."""
        if self.redis is None:
            raise SandboxError(f"Redis is not running in this sandbox; {redis_server.HOW_TO_INSTALL}")
        return self.redis

    @property
    def triton_grpc(self) -> str:
        """`127.0.0.1:PORT`"""
        return self.running_triton.grpc

    @property
    def triton_http(self) -> str:
        return self.running_triton.http

    @property
    def triton_metrics(self) -> str:
        return self.running_triton.metrics

    @property
    def redis_url(self) -> str | None:
        return self.redis.url if self.redis else None

    @property
    def parts(self) -> list[Part]:
        kafka = self._cluster.parts if self._cluster else []
        return [*kafka, *(part for part in (self.triton, self.redis) if part)]

    # Start and stop

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Install what is missing and start everything at once; returns when all of it answers."""
        self.directory = self._given_directory or Path(tempfile.mkdtemp(prefix="adjudicate-"))
        self.directory = self.directory.absolute()
        self._leash = Leash()
        try:
            self._start_all(self._leash)
        except BaseException:
            self._stop_parts()
            raise
        return self

    def _start_all(self, leash: Leash) -> None:
        starts: list[Callable[[Leash, Steps], None]] = [self._start_kafka]
        if self._triton_options:
            starts.append(self._start_triton)
        if self._wants_redis:
            starts.append(self._start_redis)
        with Steps() as steps, ThreadPoolExecutor(len(starts)) as threads:
            futures = [threads.submit(start, leash, steps) for start in starts]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                self._kill_parts()  # so that the other threads stop waiting for theirs
                raise

    def _start_kafka(self, leash: Leash, steps: Steps) -> None:
        if self.missing_programs:
            self._cluster = MockCluster()
        else:
            with steps.step("Apache Kafka: fetch"):
                kafka_cluster.class_archive()
            self._cluster = KafkaCluster(self._kafka_options, self.directory, leash)
        with steps.step("Kafka: start"):
            self._cluster.start()

    def _start_triton(self, leash: Leash, steps: Steps) -> None:
        with steps.step("Triton: fetch"):
            self.triton = TritonServer(self._triton_options or TritonOptions(), self.directory, leash)
        with steps.step("Triton: start"):
            self.triton.start().wait_ready()
        with steps.step("Triton: first inference"):
            self.triton.wait_scores()

    def _start_redis(self, leash: Leash, steps: Steps) -> None:
        with steps.step("Redis: start"):
            self.redis = RedisServer(self.directory, leash)
            self.redis.start().wait_ready()

    def stop(self) -> None:
        """Stop everything, by force after 5 s, and remove a temporary directory."""
        self._stop_parts()
        if self._given_directory is None:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _stop_parts(self) -> None:
        for part in self.parts:
            part.request_stop()  # all at once, before waiting for any
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda part: part.terminate(STOP_TIMEOUT_S), self.parts))
        if self._leash is not None:
            self._leash.close()
        self._leash = None

    def _kill_parts(self) -> None:
        for part in self.parts:
            part.kill()

    def watch(self, interval_s: float = 0.5) -> None:
        """Return never; raises SandboxError as soon as a part has died."""
        while True:
            for part in self.parts:
                part.assert_alive()
            time.sleep(interval_s)

    def create_topics(self, names: Iterable[str] = TOPICS, partitions: int = DEFAULT_PARTITIONS) -> None:
        """Create topics, or leave those that exist. Raises BrokerError."""
        if isinstance(self.cluster, MockCluster):
            self.cluster.create_topics(names)
        else:
            replicas = len(self.kafka) // 3 * 2 + 1
            settings = KafkaSettings.model_validate(self.settings["kafka"])
            kafka.create_topics(settings, names, partitions=partitions, replication=replicas)
