"""The batch path: the transactional worker against bare librdkafka, and the scoring stage against a naive loop.

    python -m benchmarks.stream [--json] [--records N] [--images N] [--repeats N]

One run against the sandbox's real Kafka and Triton, interleaved, wall time. Moving, records of 1 KB: (1) bare
`consume`, (2) bare `produce`, (3) both by hand without transactions, (4) the worker with a stage that only copies:
exactly once. Scoring, distinct JPEG files: (5) the way everyone writes it first (poll one, Pillow, infer one,
produce one), (6) the worker with the scoring stage and no cache. The model is the tiny one of the tests, so that (5)
and (6) compare the ways, not the model.
"""

import argparse
import base64
import io
import json
import os
import platform
import statistics
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final

import numpy as np
from confluent_kafka import Consumer, Producer
from PIL import Image

from benchmarks.decode import jpeg, ratio, spread
from moderation.classifier import TritonAddress, TritonClassifier
from moderation.events import ImageEvent
from moderation.evidence.image_model import ImageModel
from stream import kafka
from stream.cache import EvidenceCache
from stream.decode.pool import DecodePool
from stream.kafka import Output, Record
from stream.patience import PatientModel
from stream.sandbox.sandbox import Sandbox
from stream.sandbox.triton_server import TritonOptions
from stream.score import ScoreStage
from stream.settings import CacheSettings, KafkaSettings, RedisSettings, Settings, TopicSettings, TritonSettings
from stream.worker import Outputs, Stage, Worker

TINY_MODEL: Final = Path(__file__).parent.parent / "tests" / "services" / "model_repository_tiny"


class Copy:
    """The cheapest stage there is."""

    name = "copy"

    def __init__(self, source: str, target: str) -> None:
        self.topics: tuple[str, ...] = (source,)
        self._target = target

    def submit(self, records: Sequence[Record]) -> "Future[Outputs]":
        done: Future[Outputs] = Future()
        done.set_result([[Output(self._target, record.key or b"", record.value or b"")] for record in records])
        return done

    def is_ready(self) -> bool:
        return True

    def close(self) -> None: ...


def bare_consumer(settings: Settings, topic: str) -> Consumer:
    consumer = Consumer(
        {
            **kafka.client_config(settings.kafka),
            "group.id": str(uuid.uuid4()),
            "auto.offset.reset": "earliest",
            "fetch.queue.backoff.ms": 10,
        }
    )
    consumer.subscribe([topic])
    return consumer


def consume(settings: Settings, topic: str, count: int, on_batch: Callable[[list[Any]], None]) -> float:
    """Seconds from the first record to the last; joining the group is not counted."""
    consumer = bare_consumer(settings, topic)
    seen, began = 0, 0.0
    while seen < count:
        messages = consumer.consume(1000, 0.1)
        if messages and not seen:
            began = time.perf_counter()
        seen += len(messages)
        on_batch(messages)
    took = time.perf_counter() - began
    consumer.close()
    return took


def produce(settings: Settings, topic: str, count: int) -> float:
    began = time.perf_counter()
    kafka.produce_all(settings.kafka, (Output(topic, str(n).encode(), bytes(1000)) for n in range(count)))
    return time.perf_counter() - began


def consume_and_produce(settings: Settings, source: str, target: str, count: int) -> float:
    producer = Producer({**kafka.client_config(settings.kafka), "linger.ms": 2, "compression.type": "lz4"})

    def copy(messages: list[Any]) -> None:
        for message in messages:
            while True:
                try:
                    producer.produce(target, message.value(), message.key())
                    break
                except BufferError:
                    producer.poll(0.01)
        producer.poll(0)

    took = consume(settings, source, count, copy)
    began = time.perf_counter()
    producer.flush()
    return took + time.perf_counter() - began


class Stopwatch:
    """A stage that notes when its first record came."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.name, self.topics = stage.name, stage.topics
        self.began = 0.0

    def submit(self, records: Sequence[Record]) -> "Future[Outputs]":
        self.began = self.began or time.perf_counter()
        return self._stage.submit(records)

    def is_ready(self) -> bool:
        return self._stage.is_ready()

    def close(self) -> None:
        self._stage.close()


def work(settings: Settings, stage: Stage) -> float:
    """Seconds from the first record until everything is committed."""
    timed = Stopwatch(stage)
    Worker(settings, timed, group=str(uuid.uuid4()), stop_at_end=True).run()
    return time.perf_counter() - timed.began


def naive(settings: Settings, source: str, target: str, address: TritonAddress, count: int) -> float:
    """One event at a time: Pillow, one request, one record."""
    consumer = bare_consumer(settings, source)
    producer = Producer(kafka.client_config(settings.kafka))
    model = TritonClassifier(address)
    size = model.spec().size
    seen, began = 0, 0.0
    while seen < count:
        message = consumer.poll(0.1)
        if message is None or message.error():
            continue
        began = began or time.perf_counter()
        event = ImageEvent.model_validate_json(message.value() or b"")
        assert event.image is not None
        with Image.open(io.BytesIO(base64.b64decode(event.image.base64 or ""))) as image:
            pixels = np.asarray(image.convert("RGB").resize((size, size)))[None]
        scores = model.submit(pixels, 10).result()
        producer.produce(
            target, json.dumps({"id": event.event_id, "scores": scores.values[0].tolist()}), event.event_id
        )
        producer.poll(0)
        seen += 1
    producer.flush()
    took = time.perf_counter() - began
    consumer.close()
    model.close()
    return took


def score(settings: Settings, address: TritonAddress) -> float:
    model = PatientModel(TritonClassifier(address), settings.triton)
    cache = EvidenceCache(CacheSettings(entries=0), RedisSettings())
    with DecodePool(os.cpu_count() or 1, model.spec().size) as decoder:
        stage = ScoreStage(settings, [ImageModel(model)], decoder, cache, None)
        took = work(settings, stage)
        stage.close()
    return took


def image_events(topic: str, count: int) -> list[Output]:
    """Distinct JPEG files of a common creative's size."""
    return [Output(topic, str(n).encode(), image_event(n)) for n in range(count)]


def image_event(number: int) -> bytes:
    image = {"base64": base64.b64encode(jpeg(970, 500, False, number)).decode()}
    return json.dumps({"event_id": str(number), "surface": "creative", "image": image}).encode()


def moving(settings: Settings, records: int, repeats: int) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {"consume": [], "produce": [], "by hand": [], "worker": []}
    for turn in range(repeats):
        source, target, other = (f"{name}-{turn}" for name in ("moving", "worker-out", "hand-out"))
        kafka.create_topics(settings.kafka, [source, target, other], partitions=4)
        seconds["produce"].append(produce(settings, source, records))
        seconds["consume"].append(consume(settings, source, records, lambda _: None))
        seconds["by hand"].append(consume_and_produce(settings, source, other, records))
        seconds["worker"].append(work(settings, Copy(source, target)))
    return {
        "records_per_s": {way: round(records / statistics.median(taken)) for way, taken in seconds.items()},
        "worker_against_by_hand": ratio(seconds["by hand"], seconds["worker"]),
        "worker_against_produce": ratio(seconds["produce"], seconds["worker"]),
        "seconds": {way: spread(taken) for way, taken in seconds.items()},
    }


def scoring(settings: Settings, address: TritonAddress, images: int, repeats: int) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {"naive": [], "scorer": []}
    for turn in range(repeats):
        topics = TopicSettings(creatives=f"images-{turn}", pages=f"pages-{turn}", scores=f"scores-{turn}")
        kafka.create_topics(settings.kafka, [topics.creatives, topics.pages, topics.scores], partitions=4)
        kafka.produce_all(settings.kafka, image_events(topics.creatives, images))
        seconds["naive"].append(naive(settings, topics.creatives, topics.rejects, address, images))
        seconds["scorer"].append(score(settings.model_copy(update={"topics": topics}), address))
    return {
        "images_per_s": {way: round(images / statistics.median(taken)) for way, taken in seconds.items()},
        "scorer_against_naive": ratio(seconds["naive"], seconds["scorer"]),
        "seconds": {way: spread(taken) for way, taken in seconds.items()},
    }


def run(records: int, images: int, repeats: int) -> dict[str, Any]:
    with Sandbox(redis=False, triton_options=TritonOptions(model_repository=TINY_MODEL)) as sandbox:
        settings = Settings(
            instance="benchmark",
            kafka=KafkaSettings(bootstrap_servers=sandbox.bootstrap_servers),
            triton=TritonSettings(url=sandbox.triton_grpc),
        )
        sandbox.create_topics()
        return {
            "benchmark": "stream",
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
            "records": records,
            "images": images,
            "repeats": repeats,
            "moving": moving(settings, records, repeats),
            "scoring": scoring(settings, TritonAddress(sandbox.triton_grpc), images, repeats),
        }


def report(result: dict[str, Any]) -> str:
    moved, scored = result["moving"], result["scoring"]
    lines = [f"On {result['machine']}, brokers and server on the same cores; {result['repeats']} repeats, medians."]
    lines.append(f"\nMoving {result['records']} records of 1 KB, records a second")
    lines += [f"  {way:10}{rate:>10,}" for way, rate in moved["records_per_s"].items()]
    lines.append(_line("worker against consume+produce by hand", moved["worker_against_by_hand"]))
    lines.append(f"\nScoring {result['images']} JPEG images of 970×500 with the tiny model, images a second")
    lines += [f"  {way:10}{rate:>10,}" for way, rate in scored["images_per_s"].items()]
    lines.append(_line("scorer against the naive loop", scored["scorer_against_naive"]))
    return "\n".join(lines)


def _line(name: str, values: dict[str, float]) -> str:
    return f"  {name}: {values['median']:.2f}× ({values['min']:.2f} to {values['max']:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    result = run(given.records, given.images, given.repeats)
    print(json.dumps(result) if given.json else report(result))


if __name__ == "__main__":
    main()
