"""Decoding: JPEG bytes to a 224-pixel view, against Pillow and against the bare libraries.

    python -m benchmarks.decode [--json] [--images N] [--repeats N] [--workers N]

One run, interleaved, in processor seconds of the process (a busy machine stretches wall time, not these):
(1) `views` as it is, (2) its decoding and resizing alone, without the perceptual hash, (3) Pillow's convert and
resize as everyone writes it, (4) simplejpeg and OpenCV with nothing around them, (5) OpenCV alone. Then how far
the pixels are from a full decode with an area average, and the decode pool against one process calling `views`,
in wall time. The images are drawn by code.
"""

import argparse
import io
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from moderation.images import views
from moderation.images.jpeg import decode_scaled, read_header, scale_divisor
from moderation.images.squash import squash
from stream.decode.pool import DecodePool

Pixels = NDArray[np.uint8]
SIZE: Final = 224
CASES: Final[dict[str, tuple[int, int, bool]]] = {
    "500x400": (500, 400, False),
    "1080p": (1920, 1080, False),
    "1080p progressive": (1920, 1080, True),
    "12 MP": (4000, 3000, False),
}


def draw(width: int, height: int, seed: int) -> Pixels:
    """Colour blobs, edges and grain: about as many bytes a pixel as a photograph at quality 85."""
    rng = np.random.default_rng(seed)
    blobs = rng.integers(0, 256, (height // 50, width // 50, 3), dtype=np.uint8)
    smooth = np.asarray(cv2.resize(blobs, (width, height), interpolation=cv2.INTER_CUBIC), np.int16)
    smooth[:: height // 7, :] = 255
    smooth[:, :: width // 9] = 0
    return (smooth + rng.integers(-9, 10, smooth.shape)).clip(0, 255).astype(np.uint8)


def jpeg(width: int, height: int, progressive: bool, seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(draw(width, height, seed)).save(buffer, "JPEG", quality=85, progressive=progressive)
    return buffer.getvalue()


def ours(data: bytes) -> Pixels:
    first: Pixels = views(data, SIZE).pixels[0]
    return first


def ours_without_hash(data: bytes) -> Pixels:
    pixels = decode_scaled(data, read_header(data), SIZE)
    assert pixels is not None
    return squash(pixels, SIZE)


def pillow(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB").resize((SIZE, SIZE)))


def sides(data: bytes) -> tuple[int, int]:
    height, width, _space, _sampling = simplejpeg.decode_jpeg_header(data)  # type: ignore[attr-defined]
    return int(height), int(width)


def bare_simplejpeg(data: bytes) -> Pixels:
    height, width = sides(data)
    divisor = scale_divisor(width, height, SIZE)
    pixels = simplejpeg.decode_jpeg(  # type: ignore[attr-defined]
        data, "RGB", min_height=-(-height // divisor), min_width=-(-width // divisor)
    )
    return np.asarray(cv2.resize(pixels, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.uint8)


def bare_opencv(data: bytes) -> Pixels:
    height, width = sides(data)
    flags = {
        1: cv2.IMREAD_COLOR,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }
    reduced = cv2.imdecode(np.frombuffer(data, np.uint8), flags[scale_divisor(width, height, SIZE)])
    assert reduced is not None
    small = cv2.resize(reduced, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), np.uint8)


WAYS: Final[dict[str, Callable[[bytes], Pixels]]] = {
    "views": ours,
    "decode+resize": ours_without_hash,
    "pillow": pillow,
    "simplejpeg+cv2": bare_simplejpeg,
    "cv2": bare_opencv,
}


def reference(data: bytes) -> Pixels:
    full = simplejpeg.decode_jpeg(data, "RGB")  # type: ignore[attr-defined]
    return np.asarray(cv2.resize(full, (SIZE, SIZE), interpolation=cv2.INTER_AREA), np.uint8)


def one_case(files: list[bytes], repeats: int) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for name in WAYS:
        WAYS[name](files[0])
    for _ in range(repeats):
        for name, way in WAYS.items():
            began = time.process_time()
            for data in files:
                way(data)
            seconds[name].append((time.process_time() - began) / len(files))
    fastest = min(("simplejpeg+cv2", "cv2"), key=lambda name: statistics.median(seconds[name]))
    return {
        "bytes": round(statistics.mean(map(len, files))),
        "ms": {name: spread([1000 * value for value in values]) for name, values in seconds.items()},
        "fastest_library": fastest,
        "views_against_pillow": ratio(seconds["pillow"], seconds["views"]),
        "decode_resize_against_pillow": ratio(seconds["pillow"], seconds["decode+resize"]),
        "decode_resize_against_fastest": ratio(seconds[fastest], seconds["decode+resize"]),
        "views_against_fastest": ratio(seconds[fastest], seconds["views"]),
        "pixel_difference": difference(files),
    }


def difference(files: list[bytes]) -> dict[str, float]:
    """Levels of 255 between `views` and a full decode with an area average."""
    apart = np.abs(np.stack([ours(data).astype(int) - reference(data) for data in files]))
    return {"mean": float(apart.mean()), "p99": float(np.percentile(apart, 99)), "max": float(apart.max())}


def pool_against_process(files: list[bytes], repeats: int, workers: int) -> dict[str, Any]:
    """Images a second in wall time; the pool also pays for two copies between processes."""
    one_process: list[float] = []
    pooled: list[float] = []
    with DecodePool(workers, SIZE) as pool:
        pool.submit(files[0]).result()
        for _ in range(repeats):
            began = time.perf_counter()
            for data in files:
                views(data, SIZE)
            one_process.append(time.perf_counter() - began)
            began = time.perf_counter()
            for future in [pool.submit(data) for data in files]:
                future.result()
            pooled.append(time.perf_counter() - began)
    return {
        "workers": workers,
        "views_per_s_in_one_process": len(files) / statistics.median(one_process),
        "views_per_s_through_the_pool": len(files) / statistics.median(pooled),
        "pool_against_process": ratio(one_process, pooled),
    }


def spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(slow: list[float], fast: list[float]) -> dict[str, float]:
    return spread([a / b for a, b in zip(slow, fast, strict=True)])


def run(images: int, repeats: int, workers: int) -> dict[str, Any]:
    cv2.setNumThreads(1)
    files = {name: [jpeg(*case, seed) for seed in range(images)] for name, case in CASES.items()}
    return {
        "benchmark": "decode",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "images": images,
        "repeats": repeats,
        "size": SIZE,
        "cases": {name: one_case(files[name], repeats) for name in CASES},
        "pool": {
            name: pool_against_process(files[name] * (20 if name == "500x400" else 5), repeats, workers)
            for name in ("500x400", "1080p")
        },
    }


def report(result: dict[str, Any]) -> str:
    lines = [f"{result['images']} images a case, {result['repeats']} repeats, on {result['machine']}", ""]
    for name, case in result["cases"].items():
        lines.append(f"{name} JPEG, {case['bytes'] / 1000:.0f} KB, processor time of one image")
        lines += [
            f"  {way:16}{ms['median']:9.2f} ms ({ms['min']:.2f} to {ms['max']:.2f})" for way, ms in case["ms"].items()
        ]
        lines.append(f"  against Pillow: {times(case['decode_resize_against_pillow'])}, target 2 to 3")
        lines.append(
            f"  against {case['fastest_library']}: {times(case['decode_resize_against_fastest'])}, target 0.95"
        )
        lines.append(f"  with the perceptual hash: {times(case['views_against_pillow'])} against Pillow")
        apart = case["pixel_difference"]
        lines.append(
            f"  pixels: {apart['mean']:.2f} levels apart, 99% within {apart['p99']:.0f}, all {apart['max']:.0f}"
        )
        lines.append("")
    for name, pool in result["pool"].items():
        rate = f"{pool['views_per_s_through_the_pool']:.0f} images/s"
        lines.append(
            f"pool, {name}: {rate} with {pool['workers']} workers, {times(pool['pool_against_process'])} of one process"
        )
    return "\n".join(lines)


def times(value: dict[str, float]) -> str:
    return f"{value['median']:.2f}x ({value['min']:.2f} to {value['max']:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    arguments = parser.parse_args()
    result = run(arguments.images, arguments.repeats, arguments.workers)
    print(json.dumps(result, indent=2) if arguments.json else report(result))
    sys.exit(0)


if __name__ == "__main__":
    main()
