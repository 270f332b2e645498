"""The whole served graph against its own backbone alone (EfficientNet-Lite0, fp32), interleaved in one run.

    python -m benchmarks.model_speed

Batch 8, both with the same threads; prints images per second and the ratio. The brand tower is
EfficientNet-Lite0 with its heads, so its fp32 graph is the reference that the target ratio names.
"""

import argparse
import os
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from moderation.training.graph import assemble, quantize, served

MODEL = Path(__file__).parent.parent / "model_repository" / "brand_safety"
BATCH = 8


def rate(session: Any, images: np.ndarray, batches: int) -> float:
    """Images per second."""
    session.run(None, {"image": images})
    start = time.perf_counter()
    for _ in range(batches):
        session.run(None, {"image": images})
    return batches * len(images) / (time.perf_counter() - start)


def variants(threads: int) -> dict[str, Any]:
    """The graphs to time, the reference first."""
    assemble.assemble(MODEL)
    brand, adult = onnx.load(MODEL / assemble.BRAND_TOWER), assemble.adult_tower()
    graphs = {
        "lite0 fp32": brand,
        "as shipped": onnx.load(MODEL / assemble.SERVED),
        "both fp32": assemble.joined(MODEL),
        "adult tower fp32": adult,
    }
    for name, tower in (("brand", brand), ("adult", adult)):
        if name in assemble.plan(MODEL):
            graphs[f"{name} tower int8"] = quantize.apply(tower, (name,), assemble.ranges(MODEL))
    return {name: served.session(graph, threads) for name, graph in graphs.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batches", type=int, default=4)
    chosen = parser.parse_args()
    images = np.random.default_rng(0).integers(0, 256, (BATCH, 224, 224, 3)).astype(np.uint8)
    graphs = variants(chosen.threads)
    rates: dict[str, list[float]] = {name: [] for name in graphs}
    for _ in range(chosen.rounds):
        for name, graph in graphs.items():
            rates[name].append(rate(graph, images, chosen.batches))
    reference = rates["lite0 fp32"]
    print(f"{platform.processor() or platform.machine()}, {chosen.threads} threads, batch {BATCH}")
    for name, values in rates.items():
        ratios = [value / base for value, base in zip(values, reference, strict=True)]
        spread = f"{min(ratios):.2f}–{max(ratios):.2f}"
        speed = f"{statistics.median(values):7.1f} images/s"
        print(f"{name:18s} {speed}  {statistics.median(ratios):.2f} ({spread}) of lite0 fp32")


if __name__ == "__main__":
    main()
