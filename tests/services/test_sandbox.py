"""The sandbox's promises, on the servers it really starts."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import confluent_kafka
import numpy as np
import psutil
import pytest
import tritonclient.grpc as triton_grpc
import yaml
from confluent_kafka.admin import AdminClient

from stream.errors import SandboxError
from stream.sandbox import TOPICS, KafkaOptions, Sandbox, TritonOptions
from stream.sandbox.part import Leash, living_members
from stream.sandbox.triton_server import TritonServer
from stream.settings import read_settings

TINY_MODEL_REPOSITORY = Path(__file__).with_name("model_repository_tiny")

pytestmark = pytest.mark.services


def produce(settings: dict[str, str], topic: str, value: bytes) -> None:
    producer = confluent_kafka.Producer({**settings, "acks": "all", "message.timeout.ms": 20_000})
    failures: list[object] = []
    producer.produce(topic, value, on_delivery=lambda error, _: failures.append(error) if error else None)
    assert producer.flush(30) == 0
    assert failures == []


def consume(settings: dict[str, str], topic: str, count: int) -> list[bytes]:
    reader = confluent_kafka.Consumer(
        {**settings, "group.id": topic, "auto.offset.reset": "earliest", "enable.auto.commit": False}
    )
    reader.subscribe([topic])
    values: list[bytes] = []
    deadline = time.monotonic() + 40
    while len(values) < count and time.monotonic() < deadline:
        values += [m.value() or b"" for m in reader.consume(count, timeout=1.0) if m.error() is None]
    reader.close()
    return values


def score(address: str, images: np.ndarray) -> np.ndarray:
    with triton_grpc.InferenceServerClient(address) as client:
        tensor = triton_grpc.InferInput("image", list(images.shape), "UINT8")
        tensor.set_data_from_numpy(images)
        return np.asarray(client.infer("brand_safety", [tensor]).as_numpy("scores"))


def redis_says(url: str, command: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=5) as connection:
        connection.sendall(command + b"\r\n")
        return connection.recv(4096)


def test_kafka_carries_records(kafka: dict[str, str], make_topic: Callable[[str], str]) -> None:
    topic = make_topic("carried")
    produce(kafka, topic, b"one image")
    assert consume(kafka, topic, 1) == [b"one image"]


def test_topics_are_not_made_by_accident(sandbox: Sandbox, topic_prefix: str) -> None:
    metadata = AdminClient({**sandbox.kafka_settings}).list_topics(topic_prefix + "typo", timeout=10)
    assert metadata.topics[topic_prefix + "typo"].error is not None


def test_creating_topics_again_is_no_error(sandbox: Sandbox, topic_prefix: str) -> None:
    sandbox.create_topics([topic_prefix + "twice"], 3)
    sandbox.create_topics([topic_prefix + "twice"], 3)
    found = AdminClient({**sandbox.kafka_settings}).list_topics(timeout=10).topics
    assert len(found[topic_prefix + "twice"].partitions) == 3


def test_triton_answers_with_what_the_model_computed(triton: str) -> None:
    images = np.zeros((2, 224, 224, 3), np.uint8)
    images[0, ..., 0] = 255
    images[1, ..., 2] = 51
    assert score(triton, images) == pytest.approx(np.array([[1, 0, 0], [0, 0, 0.2]], np.float32))


def test_redis_answers(redis_url: str) -> None:
    assert redis_says(redis_url, b"PING") == b"+PONG\r\n"


def test_every_server_listens_on_loopback_only(sandbox: Sandbox) -> None:
    addresses = {
        connection.laddr.ip.removeprefix("::ffff:")
        for part in sandbox.parts
        for connection in psutil.Process(part.pid).net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    assert addresses == {"127.0.0.1"}


def test_the_options_of_the_compose_file_guard_tritons_administration(
    tiny_triton: TritonOptions, tmp_path: Path
) -> None:
    compose = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yml").read_text())
    options = [o for o in compose["services"]["triton"]["command"] if "-restricted-" in o]
    keyed = tuple(re.sub(r"\$\{[^}]*\}", "key", option) for option in options)
    leash = Leash()
    server = TritonServer(replace(tiny_triton, arguments=keyed), tmp_path, leash)
    try:
        server.start().wait_ready()
        assert len(keyed) == 2
        assert server.ask("POST", "/v2/repository/index")[0] == HTTPStatus.FORBIDDEN
        assert server.ask("GET", "/v2/models/brand_safety/config")[0] == HTTPStatus.OK
        assert score(server.grpc, np.full((1, 224, 224, 3), 255, np.uint8)).tolist() == [[1, 1, 1]]
    finally:
        server.terminate()
        leash.close()


@pytest.fixture
def own_sandbox(
    real_kafka: None, real_redis: None, tiny_triton: TritonOptions, tmp_path: Path
) -> "Callable[..., Sandbox]":
    def make(**options: object) -> Sandbox:
        return Sandbox(tmp_path / "own", triton_options=tiny_triton, **options)  # type: ignore[arg-type]

    return make


def test_parts_survive_kill_pause_and_restart_with_their_data(own_sandbox: Callable[..., Sandbox]) -> None:
    with own_sandbox() as stack:
        redis, triton = stack.running_redis, stack.running_triton
        stack.create_topics(["kept"], 1)
        produce(stack.kafka_settings, "kept", b"before")
        groups = [part.pid for part in stack.parts]

        stack.kafka[0].kill()
        assert not stack.kafka[0].is_alive()
        stack.kafka[0].restart()
        produce(stack.kafka_settings, "kept", b"after")
        assert consume(stack.kafka_settings, "kept", 2) == [b"before", b"after"]

        triton.pause()
        # A thread of it may still answer while the signal is on its way to all of them.
        assert 0 in [triton.ask("GET", "/v2/health/ready", timeout_s=0.5)[0] for _ in range(3)]
        triton.resume()
        triton.wait_ready(10)
        triton.kill()
        assert living_members(groups[1]) == []
        triton.restart()
        assert score(stack.triton_grpc, np.full((1, 224, 224, 3), 255, np.uint8)).tolist() == [[1, 1, 1]]

        assert redis_says(redis.url, b"SET k v") == b"+OK\r\n"
        time.sleep(1.2)  # appendfsync everysec
        redis.restart()
        assert redis_says(redis.url, b"GET k") == b"$1\r\nv\r\n"
        groups += [part.pid for part in stack.parts]
    assert [member for group in groups for member in living_members(group)] == []


def test_a_failed_start_names_the_log_and_leaves_nothing(tmp_path: Path, real_redis: None) -> None:
    options = TritonOptions(model_repository=tmp_path / "nowhere")
    stack = Sandbox(tmp_path / "own", triton_options=options, kafka_options=KafkaOptions())
    with pytest.raises(SandboxError, match=r"Triton exited with 1; its log .*triton\.log ends with:\n(.*\n)*"):
        stack.start()
    assert not any(part.is_alive() for part in stack.parts)


def test_a_model_that_does_not_load_is_named_with_its_reason(tmp_path: Path) -> None:
    broken = tmp_path / "models" / "brand_safety"
    shutil.copytree(TINY_MODEL_REPOSITORY / "brand_safety", broken)
    (broken / "1" / "model.py").write_text("raise RuntimeError('no weights here')\n")
    leash = Leash()
    server = TritonServer(TritonOptions(model_repository=broken.parent), tmp_path, leash)
    with pytest.raises(SandboxError, match=r"(?s)Triton exited with 1.*no weights here"):
        server.start().wait_ready()
    server.terminate()
    leash.close()


PARENT = """
import sys, time
from pathlib import Path
from stream.sandbox import Sandbox, TritonOptions
stack = Sandbox(Path(sys.argv[1]), triton_options=TritonOptions(model_repository=Path(sys.argv[2]))).start()
print(*(part.pid for part in stack.parts), flush=True)
time.sleep(600)
"""


def test_servers_die_with_a_killed_parent(tmp_path: Path, real_kafka: None, tiny_triton: TritonOptions) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "own"), str(tiny_triton.model_repository)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        groups = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(groups) >= 2
        assert all(living_members(group) for group in groups)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while any(living_members(group) for group in groups) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [member for group in groups for member in living_members(group)] == []


def test_three_brokers_lose_one_and_still_accept(own_sandbox: Callable[..., Sandbox]) -> None:
    with own_sandbox(brokers=3, triton=False, redis=False) as stack:
        stack.create_topics(["safe"], 3)
        topic = AdminClient({**stack.kafka_settings}).list_topics("safe", timeout=10).topics["safe"]
        assert [sorted(p.replicas) for p in topic.partitions.values()] == [[1, 2, 3]] * 3
        produce(stack.kafka_settings, "safe", b"all up")
        stack.kafka[1].kill()
        produce(stack.kafka_settings, "safe", b"one down")
        stack.kafka[1].restart()
        assert sorted(consume(stack.kafka_settings, "safe", 2)) == [b"all up", b"one down"]


def test_a_secure_broker_refuses_who_has_no_password(own_sandbox: Callable[..., Sandbox]) -> None:
    with own_sandbox(triton=False, redis=False, kafka_options=KafkaOptions(secure=True)) as stack:
        stack.create_topics(["guarded"], 1)
        produce(stack.kafka_settings, "guarded", b"known")
        assert consume(stack.kafka_settings, "guarded", 1) == [b"known"]
        nobody = {"bootstrap.servers": stack.bootstrap_servers}
        for wrong in (nobody, {**stack.kafka_settings, "sasl.password": "guess"}):
            with pytest.raises(confluent_kafka.KafkaException):
                AdminClient({**wrong, "log_level": 0}).list_topics(timeout=3)


def test_the_mock_stands_in_where_java_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("stream.sandbox.kafka_cluster.missing_programs", lambda: ["java"])
    with Sandbox(tmp_path, triton=False, redis=False) as stack:
        assert (stack.kind, stack.kafka) == ("mock", [])
        stack.create_topics(["pretended"])
        produce(stack.kafka_settings, "pretended", b"shown")
        assert consume(stack.kafka_settings, "pretended", 1) == [b"shown"]


IGNORING = ["sh", "-c", "trap '' INT TERM; exec \"$@\"", "sh"]
"""As a shell starts its background jobs, and worse."""


@contextmanager
def run_sandbox(*options: str) -> "Iterator[subprocess.Popen[str]]":
    """A child that hangs is killed as soon as the test is over."""
    program = "import typer; from stream.cli.sandbox import sandbox; typer.run(sandbox)"
    command = [sys.executable, "-c", program, "--model-repository", str(TINY_MODEL_REPOSITORY), "--json", *options]
    with subprocess.Popen([*IGNORING, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_a_signal(number: signal.Signals, tmp_path: Path, real_kafka: None) -> None:
    file = tmp_path / "settings.yaml"
    with run_sandbox("--partitions", "2", "--write-settings", str(file)) as process:
        assert process.stdout is not None
        answer = json.loads(process.stdout.readline())
        settings = read_settings(file)
        assert settings.kafka.bootstrap_servers == answer["kafka"]
        assert settings.triton.url == answer["triton_grpc"]
        assert file.stat().st_mode & 0o077 == 0
        found = AdminClient({"bootstrap.servers": answer["kafka"]}).list_topics(timeout=10).topics
        assert set(TOPICS) <= set(found)
        assert len(found["creatives"].partitions) == 2
        children = psutil.Process(process.pid).children(recursive=True)
        assert {child.name() for child in children} >= {"java", "tritonserver"}
        process.send_signal(number)
        assert process.wait(30) == 0
    assert psutil.wait_procs(children, timeout=10)[1] == []
    assert not Path(answer["directory"]).exists()


def test_the_command_says_which_part_died(tmp_path: Path, real_kafka: None) -> None:
    with run_sandbox("--directory", str(tmp_path / "own")) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        triton = next(c for c in psutil.Process(process.pid).children() if c.name() == "tritonserver")
        triton.kill()
        assert "Triton exited with -9; its log" in process.stderr.read()
        assert process.wait(30) != 0
