"""The servers the fault tests hurt: three brokers, Triton with the tiny model, Redis."""

import json
import shutil
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from confluent_kafka import ElectionType
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType

from moderation.classifier import TritonAddress, TritonClassifier
from stream.errors import SandboxError
from stream.sandbox import KafkaOptions, Sandbox, TritonOptions
from stream.sandbox.part import Part
from stream.sandbox.triton_server import MODEL, TritonServer

TINY: Final = Path(__file__).parents[1] / "services" / "model_repository_tiny"
PROBE_S: Final = 5.0
QUEUE: Final = 6
"""Requests Triton keeps waiting: few, so that a full queue can be had."""


class Stack:
    """Servers that are there already, and where they hurt. `faults_file` is what the tiny model obeys."""

    def __init__(self, sandbox: Sandbox, faults_file: Path, models: Path = TINY) -> None:
        self.sandbox = sandbox
        self.faults_file = faults_file
        self.models = models

    @classmethod
    def below(cls, directory: Path, *, brokers: int = 3) -> Self:
        """A stack of its own, not started, with its files below `directory`."""
        faults_file, models = directory / "tiny-faults.json", directory / "models"
        shutil.copytree(TINY, models)
        _limit_queue(models)
        triton = TritonOptions(
            model_repository=models,
            arguments=("--model-control-mode=explicit", "--load-model=brand_safety"),
            environment={"ADJUDICATE_TINY_FAULTS": str(faults_file)},
        )
        kafka = KafkaOptions(brokers=brokers, properties=BROKER)
        return cls(Sandbox(directory / "sandbox", kafka_options=kafka, triton_options=triton), faults_file, models)

    def __enter__(self) -> Self:
        self.sandbox.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.sandbox.stop()

    @property
    def admin(self) -> AdminClient:
        return AdminClient({**self.sandbox.kafka_settings, "log_level": 0})

    # Triton

    def afflict_model(self, **faults: Any) -> None:
        """Obeyed by the tiny model from its next batch on; without arguments it is well again."""
        if faults:
            # Written whole under another name: the model must not read half of it.
            draft = self.faults_file.with_suffix(".draft")
            draft.write_text(json.dumps(faults))
            draft.replace(self.faults_file)
        else:
            self.faults_file.unlink(missing_ok=True)

    def swap_model(self, version: int) -> None:
        """Serve another version, which answers the same."""
        model = self.models / MODEL
        shutil.copytree(model / "1", model / str(version), dirs_exist_ok=True)
        self._triton.load()

    def crash_model(self) -> None:
        """The model's process dies at its next batch. Triton does not start it again and calls itself ready."""
        self.afflict_model(crash=True)

    def tend_model(self) -> None:
        """What a supervisor with a probe that asks for scores does: Triton is well again when this returns.

        Its model's process is not started again by itself, and release 2.51 at times crashes some seconds after
        it was stopped and resumed under load.
        """
        self.afflict_model()
        if self._triton.is_alive() and not self.model_answers():
            self._reload_model()
        if not self.model_answers():
            self._triton.restart()
        assert self.model_answers()

    def resume_triton(self) -> None:
        self._triton.resume()
        self.tend_model()

    def _reload_model(self) -> None:
        newest = max(
            (path for path in (self.models / MODEL).iterdir() if path.is_dir()), key=lambda path: int(path.name)
        )
        (newest / "model.py").touch()
        with suppress(SandboxError):
            self._triton.load()

    def model_answers(self) -> bool:
        """Asks for scores, for a while: whether Triton calls itself ready says nothing of a model's process."""
        blank, deadline = np.zeros((1, 224, 224, 3), np.uint8), time.monotonic() + PROBE_S
        with closing(TritonClassifier(TritonAddress(self._triton.grpc))) as classifier:
            while self._triton.is_alive() and time.monotonic() < deadline:
                if classifier.submit(blank, timeout_s=2.0).exception(10.0) is None:
                    return True
                time.sleep(0.1)
        return False

    @property
    def _triton(self) -> TritonServer:
        return self.sandbox.running_triton

    # Kafka

    def transaction_coordinator(self, transactional_id: str) -> Part:
        return self._leader("__transaction_state", transactional_id)

    def group_coordinator(self, group: str) -> Part:
        return self._leader("__consumer_offsets", group)

    def _leader(self, topic: str, name: str) -> Part:
        partitions = self.admin.list_topics(topic, timeout=20).topics[topic].partitions
        leader = partitions[abs(java_hash(name)) % len(partitions)].leader
        return self.sandbox.kafka[leader - 1]

    def elect_preferred_leaders(self) -> None:
        """As the brokers do by themselves every five minutes: coordinators move to where they were at first."""
        admin = self.admin  # must outlive its future
        admin.elect_leaders(ElectionType.PREFERRED).result(timeout=30)

    def configure_topic(self, topic: str, **values: str) -> None:
        entries = [
            ConfigEntry(key.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
            for key, value in values.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        admin = self.admin  # must outlive its futures
        for future in admin.incremental_alter_configs([resource]).values():
            future.result(timeout=30)

    def heal(self) -> None:
        """Undo what a test may have left behind."""
        self.afflict_model()
        for part in self.sandbox.parts:
            part.resume()
            if not part.is_alive():
                part.start()
        for part in self.sandbox.parts:
            part.wait_ready()
        self.tend_model()


def _limit_queue(models: Path) -> None:
    config = models / MODEL / "config.pbtxt"
    config.write_text(config.read_text().replace("max_queue_size: 512", f"max_queue_size: {QUEUE}"))


def java_hash(text: str) -> int:
    """Java's String.hashCode, by which Kafka spreads groups and transactions over coordinators."""
    value = 0
    for character in text.encode("utf-16-be")[1::2]:
        value = (31 * value + character) & 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value


BROKER: Final = {
    # Abort the transactions of the dead within a second of their timeout, not within ten.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}
