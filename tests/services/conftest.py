"""Real servers for tests: one Kafka broker, Triton with a tiny model, and Redis, once per test process.

With pytest-xdist each worker process has a stack of its own: on two cores that is cheaper than the waiting
and the shared state of one for all. Where a part is missing, tests that need it fail under CI (variable
`CI`) and skip, naming the part, elsewhere.
"""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stream.errors import SandboxError
from stream.sandbox import Sandbox, TritonOptions
from tests.faults.evidence import pytest_runtest_makereport  # noqa: F401 - a hook
from tests.parts import require_kafka, require_redis

TINY_MODEL_REPOSITORY = Path(__file__).with_name("model_repository_tiny")

TopicMaker = Callable[..., str]


@pytest.fixture(scope="session")
def real_kafka() -> None:
    require_kafka()


@pytest.fixture(scope="session")
def real_redis() -> None:
    require_redis()


@pytest.fixture(scope="session")
def tiny_faults(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file whose JSON the tiny model obeys while it exists; see its model.py."""
    return tmp_path_factory.mktemp("tiny") / "faults.json"


@pytest.fixture(scope="session")
def tiny_triton(tiny_faults: Path) -> TritonOptions:
    """Options to serve the tiny model, for tests that start a sandbox of their own."""
    return TritonOptions(
        model_repository=TINY_MODEL_REPOSITORY, environment={"ADJUDICATE_TINY_FAULTS": str(tiny_faults)}
    )


@pytest.fixture(scope="session")
def sandbox(
    real_kafka: None, real_redis: None, tiny_triton: TritonOptions, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sandbox]:
    """The shared stack. Do not hurt its parts: a fault test starts its own `Sandbox`."""
    try:
        stack = Sandbox(tmp_path_factory.mktemp("sandbox"), triton_options=tiny_triton).start()
    except SandboxError as error:
        pytest.fail(str(error))
    yield stack
    stack.stop()


@pytest.fixture
def kafka(sandbox: Sandbox) -> dict[str, str]:
    """Settings for a librdkafka client."""
    return sandbox.kafka_settings


@pytest.fixture
def triton(sandbox: Sandbox) -> str:
    """gRPC address `127.0.0.1:PORT` of the tiny model's server."""
    return sandbox.triton_grpc


@pytest.fixture
def redis_url(sandbox: Sandbox) -> str:
    return sandbox.running_redis.url


@pytest.fixture
def topic_prefix() -> str:
    """A prefix no other test has, ending in a dot."""
    return f"t{uuid.uuid4().hex[:8]}."


@pytest.fixture
def make_topic(sandbox: Sandbox, topic_prefix: str) -> TopicMaker:
    """`make_topic("scores", partitions=2)` creates the prefixed topic and returns its name."""

    def make(name: str, partitions: int = 4) -> str:
        sandbox.create_topics([topic_prefix + name], partitions)
        return topic_prefix + name

    return make
