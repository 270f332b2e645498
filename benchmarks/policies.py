"""Policies: 1,000 clients × 64 images × every label, three ways over the same rules.

    python -m benchmarks.policies [--json] [--clients N] [--images N] [--repeats N]

One run, interleaved, in CPU time, so that a noisy machine is noisy for all: (1) the verdict matrix from
arrays, (2) a plain Python loop over the same thresholds, (3) one CEL expression per client, evaluated per
pair. Each gives the same verdicts, which is checked. Then what a worker really does with them:
`decide_encoded` (JSON bytes), `decide`
(Decision models), and the memory that 1,000 clients take.
"""

import argparse
import json
import platform
import random
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import cel
import numpy as np
from numpy.typing import NDArray

from moderation.events import AdContext, Decision, Evidence, ModelStamp, ScoredEvent, Status, Surface, Verdict
from moderation.evidence.joining import join_scores
from moderation.labels import shipped_catalogue, top_label
from moderation.policy import PolicySet, load
from moderation.policy.compile.effective import EffectivePolicy
from moderation.policy.engine.arrays import PolicyArrays, score_matrix

NOW = datetime(2026, 11, 22, tzinfo=UTC)
MODEL = ModelStamp(name="brand_safety", version="1", preprocessing="squash-area-1", calibration="benchmark")
LABELS = shipped_catalogue().names
LEVELS = {Verdict.ALLOW: 0, Verdict.REVIEW: 1, Verdict.BLOCK: 2}


def write_policies(folder: Path, clients: int, draw: random.Random) -> None:
    """Every client limits every label on its own, in both directions, and none has lists or rules."""
    for number in range(clients):
        lines = [f"client: client-{number:04}", 'version: "1"', "thresholds:"]
        for label in LABELS:
            review = draw.uniform(0.55, 0.95)
            lines.append(f"  {label}: {{review: {review:.3f}, block: {draw.uniform(review, 1):.3f}}}")
        (folder / f"client-{number:04}.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def scored_events(images: int, draw: random.Random) -> list[ScoredEvent]:
    """One image in sixteen is risky and fires for most clients; the others stay below every threshold."""
    return [
        ScoredEvent(
            event_id=f"event-{number}",
            surface=Surface.CREATIVE,
            context=AdContext(crid=f"cr-{number}", adomain=("advertiser.example",), seat="s1", country="DE"),
            status=Status.OK,
            content_sha256=f"{draw.getrandbits(256):064x}",
            evidence=(_evidence(_scores(0.5 if number % 16 else 1.0, draw)),),
            scored_at=NOW,
        )
        for number in range(images)
    ]


def _scores(most: float, draw: random.Random) -> dict[str, float]:
    """Parts that never contradict their labels, as a model's should not."""
    scores = {label: draw.uniform(0, most) for label in LABELS}
    return {label: min(score, scores[top_label(label)]) for label, score in scores.items()}


def _evidence(scores: dict[str, float]) -> Evidence:
    return Evidence(source="image", stamp=MODEL, status=Status.OK, scores=scores, uncertainty=0.1)


Joined = list[Mapping[str, float]]


def joined(events: list[ScoredEvent]) -> Joined:
    """One number per label, as every way below compares them."""
    return [join_scores(shipped_catalogue(), event.evidence).scores for event in events]


def by_arrays(arrays: PolicyArrays, scores: Joined) -> NDArray[np.uint8]:
    return arrays.at(Surface.CREATIVE, "DE").levels(arrays.ranks(score_matrix(scores, LABELS)))


Limits = list[tuple[str, float, float]]


def plain_limits(policy: EffectivePolicy) -> Limits:
    limits = policy.limits_at(Surface.CREATIVE, "DE")
    return [(label, limits[label, Verdict.REVIEW][1], limits[label, Verdict.BLOCK][1]) for label in LABELS]


def by_python(clients: list[Limits], images: Joined) -> list[list[int]]:
    """As one would write it by hand, leaving a client at its first block."""
    verdicts = []
    for scores in images:
        row = []
        for limits in clients:
            level = 0
            for label, review, block in limits:
                score = scores[label]
                if score >= block:
                    level = 2
                    break
                if score >= review:
                    level = 1
            row.append(level)
        verdicts.append(row)
    return verdicts


def cel_program(limits: Limits) -> Any:
    block = " || ".join(f's["{label}"] >= {block!r}' for label, _, block in limits)
    review = " || ".join(f's["{label}"] >= {review!r}' for label, review, _ in limits)
    return cel.compile(f"({block}) ? 2 : ({review}) ? 1 : 0")


def by_cel(programs: list[Any], images: Joined) -> list[list[int]]:
    contexts = [cel.Context(variables={"s": dict(scores)}) for scores in images]
    return [[program.execute(context) for program in programs] for context in contexts]


def dump(models: list[list[Decision]]) -> int:
    return sum(len(decision.model_dump_json()) for row in models for decision in row)


@dataclass
class Timings:
    seconds: dict[str, list[float]] = field(default_factory=dict)

    def measure(self, name: str, work: Callable[[], Any], times: int = 1) -> Any:
        """The mean of `times` calls in a row is one repeat. In CPU seconds of this thread: all is computed
        in it, and what else runs on the machine then weighs less."""
        started = time.thread_time()
        for _ in range(times):
            answer = work()
        self.seconds.setdefault(name, []).append((time.thread_time() - started) / times)
        return answer

    def summary(self, name: str, pairs: int) -> dict[str, float]:
        values = sorted(self.seconds[name])
        median = statistics.median(values)
        return {
            "median_ms": median * 1e3,
            "min_ms": values[0] * 1e3,
            "max_ms": values[-1] * 1e3,
            "ns_per_pair": median / pairs * 1e9,
            "pairs_per_s": pairs / median,
        }

    def ratio(self, slower: str, faster: str) -> dict[str, float]:
        """Repeat by repeat, since both of a repeat ran in the same weather."""
        ratios = [a / b for a, b in zip(self.seconds[slower], self.seconds[faster], strict=True)]
        return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}


def run(clients: int, images: int, repeats: int) -> dict[str, Any]:
    draw = random.Random(20261122)
    with loaded(clients, draw) as (policies, load_s, memory_mib):
        events = scored_events(images, draw)
        scores = joined(events)
        arrays = PolicyArrays(policies.policies, LABELS)
        limits = [plain_limits(policy) for policy in policies.policies]
        programs = [cel_program(each) for each in limits]
        timings, share = Timings(), 0.0
        for _ in range(repeats):
            timings.measure("join", partial(joined, events), times=20)
            fast = timings.measure("arrays", lambda: by_arrays(arrays, scores), times=20)
            plain = timings.measure("python", lambda: by_python(limits, scores))
            slow = timings.measure("cel", lambda: by_cel(programs, scores))
            encoded = timings.measure("decide_encoded", lambda: policies.decide_encoded(events, NOW))
            models = timings.measure("decide", lambda: policies.decide(events, NOW))
            timings.measure("dump_models", partial(dump, models))
            share = float(np.mean(fast > 0))
            assert fast.tolist() == plain == slow
            assert [[LEVELS[e.verdict] for e in row] for row in encoded] == plain
            assert [[LEVELS[d.verdict] for d in row] for row in models] == plain
    pairs = clients * images
    return {
        "machine": machine(),
        "clients": clients,
        "images": images,
        "labels": len(LABELS),
        "repeats": repeats,
        "pairs_that_fire": share,
        "load_s": load_s,
        "memory_of_policies_mib": memory_mib,
        "resident_mib": resident_mib(),
        "timings": {name: timings.summary(name, pairs) for name in timings.seconds},
        "arrays_against_python": timings.ratio("python", "arrays"),
        "arrays_against_cel": timings.ratio("cel", "arrays"),
    }


@contextmanager
def loaded(clients: int, draw: random.Random) -> Iterator[tuple[PolicySet, float, float]]:
    with tempfile.TemporaryDirectory() as folder:
        write_policies(Path(folder), clients, draw)
        before, started = resident_mib(), time.perf_counter()
        policies = load(Path(folder)).prepared()
        yield policies, time.perf_counter() - started, resident_mib() - before


def resident_mib() -> float:
    """Of this process, now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


def machine() -> str:
    cpu = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    return f"{cpu}, Python {platform.python_version()}, numpy {np.__version__}"


def report(result: dict[str, Any]) -> str:
    size = f"{result['clients']} clients × {result['images']} images × {result['labels']} labels"
    lines = [
        f"{size}, {result['repeats']} repeats, on {result['machine']}",
        f"a rule fires in {result['pairs_that_fire']:.1%} of pairs; loading took {result['load_s']:.1f} s",
        f"the policies take {result['memory_of_policies_mib']:.0f} MiB of {result['resident_mib']:.0f} MiB resident",
        "",
        f"{'':16}{'median ms':>12}{'min':>10}{'max':>10}{'ns/pair':>10}{'pairs/s':>14}",
    ]
    lines += [timing(name, row) for name, row in result["timings"].items()]
    for name, limit in (("arrays_against_python", 100), ("arrays_against_cel", 300)):
        ratio = result[name]
        lines.append(f"{name}: {ratio['median']:.0f}× ({ratio['min']:.0f}–{ratio['max']:.0f}), target ≥{limit}×")
    return "\n".join(lines)


def timing(name: str, row: dict[str, float]) -> str:
    spread = f"{row['median_ms']:12.2f}{row['min_ms']:10.2f}{row['max_ms']:10.2f}"
    return f"{name:16}{spread}{row['ns_per_pair']:10.1f}{row['pairs_per_s']:14,.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    arguments = parser.parse_args()
    result = run(arguments.clients, arguments.images, arguments.repeats)
    print(json.dumps(result, indent=2) if arguments.json else report(result))
    sys.exit(0)


if __name__ == "__main__":
    main()
