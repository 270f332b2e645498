"""The deciding worker with many clients: decisions a second, against bare produce, and its memory.

    python -m benchmarks.decide [--json] [--clients N] [--events N] [--repeats N]

A real `adjudicate decide` process over the sandbox's Kafka. Rate: from the first decision that a read-committed
reader sees to the last, interleaved with writing the very same records with a plain producer. Memory: the worker's
largest resident set, read every tenth of a second.
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import psutil

from benchmarks.decode import ratio, spread
from benchmarks.policies import scored_events, write_policies
from stream.kafka import Output, Record, produce_all, read_committed
from stream.sandbox import Sandbox
from stream.settings import KafkaSettings, Settings, TopicSettings


def topics(prefix: str) -> TopicSettings:
    return TopicSettings(**{name: prefix + str(field.default) for name, field in TopicSettings.model_fields.items()})


def start_worker(sandbox: Sandbox, prefix: str, policies: Path) -> subprocess.Popen[bytes]:
    names = {f"ADJUDICATE_TOPICS__{name.upper()}": topic for name, topic in topics(prefix).model_dump().items()}
    variables = {**os.environ, **sandbox.environment, **names, "ADJUDICATE_APPLICATION": prefix.rstrip(".")}
    variables |= {"ADJUDICATE_POLICIES": str(policies), "ADJUDICATE_LOG_LEVEL": "error"}
    return subprocess.Popen([sys.executable, "-m", "stream", "decide"], env=variables)


def watch_memory(process: subprocess.Popen[bytes], seen: list[int], stop: threading.Event) -> None:
    worker = psutil.Process(process.pid)
    while not stop.wait(0.1):
        seen.append(worker.memory_info().rss)


def read_decisions(settings: Settings, count: int) -> tuple[float, list[Record]]:
    names = [settings.topics.allow, settings.topics.review, settings.topics.block]
    began, found = 0.0, []
    for record in read_committed(settings.kafka, names, follow=True):
        if record is None:
            continue
        began = began or time.perf_counter()
        found.append(record)
        if len(found) == count:
            break
    return time.perf_counter() - began, found


def once(sandbox: Sandbox, policies: Path, clients: int, events: int) -> tuple[float, float, float]:
    """Seconds of the worker, seconds of a plain producer, MiB of the worker."""
    prefix = f"d{uuid.uuid4().hex[:8]}."
    settings = Settings(kafka=KafkaSettings(bootstrap_servers=sandbox.bootstrap_servers), topics=topics(prefix))
    sandbox.create_topics([*settings.topics.every(), prefix + "bare"])
    written = [
        e.model_copy(update={"event_id": f"e{n}"}) for n, e in enumerate(scored_events(events, random.Random(2)))
    ]
    produce_all(
        settings.kafka,
        [Output(settings.topics.scores, e.event_id.encode(), e.model_dump_json().encode()) for e in written],
    )
    worker = start_worker(sandbox, prefix, policies)
    seen: list[int] = []
    stop = threading.Event()
    watcher = threading.Thread(target=watch_memory, args=(worker, seen, stop))
    watcher.start()
    took, decisions = read_decisions(settings, clients * events)
    stop.set()
    watcher.join()
    worker.terminate()
    worker.wait()
    began = time.perf_counter()
    produce_all(settings.kafka, (Output(prefix + "bare", r.key or b"", r.value or b"", r.headers) for r in decisions))
    return took, time.perf_counter() - began, max(seen) / 2**20


def run(clients: int, events: int, repeats: int) -> dict[str, Any]:
    with Sandbox(redis=False, triton=False) as sandbox, tempfile.TemporaryDirectory() as folder:
        write_policies(Path(folder), clients, random.Random(1))
        rows = [once(sandbox, Path(folder), clients, events) for _ in range(repeats)]
    worker, bare, memory = (list(column) for column in zip(*rows, strict=True))
    return {
        "benchmark": "decide",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "clients": clients,
        "events": events,
        "repeats": repeats,
        "decisions_per_s": round(clients * events / statistics.median(worker)),
        "worker_against_produce": ratio(bare, worker),
        "worker_mib": spread(memory),
    }


def report(result: dict[str, Any]) -> str:
    against, memory = result["worker_against_produce"], result["worker_mib"]
    lines = [
        "{clients} clients, {events} events, {repeats} repeats, on {machine}".format(**result),
        f"  decisions a second: {result['decisions_per_s']:,}",
        "  against writing the same records with a plain producer: {median:.2f}× ({min:.2f} to {max:.2f})".format(
            **against
        ),
        "  largest resident set of the worker: {median:.0f} MiB (at most {max:.0f})".format(**memory),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--events", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    result = run(given.clients, given.events, given.repeats)
    print(json.dumps(result) if given.json else report(result))


if __name__ == "__main__":
    main()
