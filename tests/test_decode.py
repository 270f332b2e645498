"""The decode pool: real processes, killed in every way an image may kill them."""

import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from moderation.errors import ConfigurationError, ImageError
from moderation.events import Status
from moderation.images import Limits, Views, views
from stream.decode.poison import FilePoisonList
from stream.decode.pool import DecodePool

FAKE = "tests.poisonous:views"
SHA = "ab" * 32


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    with DecodePool(2, 8, timeout_s=2.0, decoder=FAKE) as running:
        yield running


@pytest.fixture(scope="module")
def real() -> Iterator[DecodePool]:
    with DecodePool(1, 32, timeout_s=60.0) as running:
        yield running


def png(colour: tuple[int, int, int] = (200, 30, 30), size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def outcome(future: "Future[Views]") -> Status:
    error = future.exception(120)
    if error is None:
        return Status.OK
    assert isinstance(error, ImageError), error
    return error.status


def is_picture_of(data: bytes, decoded: Views) -> bool:
    return bool((decoded.pixels == sum(data) % 256).all()) and decoded.perceptual_hash == data.hex()[:64]


def test_it_gives_what_views_gives(real: DecodePool) -> None:
    data = png()
    decoded, expected = real.submit(data).result(60), views(data, 32)
    assert np.array_equal(decoded.pixels, expected.pixels)
    assert decoded.facts == expected.facts
    assert decoded.perceptual_hash == expected.perceptual_hash


def test_every_format_is_decoded_without_the_right_to_read_files(real: DecodePool) -> None:
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP"):
        buffer = io.BytesIO()
        Image.effect_noise((64, 48), 50).convert("RGB").save(buffer, kind, save_all=kind not in ("JPEG", "BMP"))
        assert real.submit(buffer.getvalue()).result(60).facts.format == kind
    buffer = io.BytesIO()
    Image.new("CMYK", (40, 30), (9, 8, 7, 6)).save(buffer, "JPEG")
    assert real.submit(buffer.getvalue()).result(60).facts.format == "JPEG"


def test_refusals_come_back_as_they_are(real: DecodePool) -> None:
    assert outcome(real.submit(b"%PDF-1.7")) is Status.DECODE_UNSUPPORTED
    assert outcome(real.submit(png()[:-20])) is Status.DECODE_FAILED
    assert outcome(real.submit(b"")) is Status.DECODE_UNSUPPORTED


@pytest.mark.parametrize(
    ("death", "words"),
    [
        ("kill", "killed by SIGKILL, twice"),
        ("exit", "exit status 3, twice"),
        ("abort", "killed by SIGABRT, twice"),
        ("raise", "ended with exit status"),
        ("eat", "ended with exit status"),
        ("lie", "sent a reply that is none, twice"),
    ],
)
def test_a_deadly_image_costs_only_itself_and_is_explained(pool: DecodePool, death: str, words: str) -> None:
    before = [f"picture {death} {i}".encode() for i in range(20)]
    after = [f"later {death} {i}".encode() for i in range(20)]
    futures = [pool.submit(data) for data in before]
    deadly = pool.submit(death.encode())
    futures += [pool.submit(data) for data in after]
    assert outcome(deadly) is Status.DECODE_CRASHED
    assert words in str(deadly.exception())
    for data, future in zip(before + after, futures, strict=True):
        assert is_picture_of(data, future.result(60))


def test_a_hanging_image_costs_only_itself(pool: DecodePool) -> None:
    hanging = pool.submit(b"hang")
    futures = [pool.submit(f"neighbour {i}".encode()) for i in range(20)]
    assert outcome(hanging) is Status.TIMEOUT
    assert [outcome(future) for future in futures] == [Status.OK] * 20


def test_the_time_limit_is_per_image_not_per_chunk() -> None:
    with DecodePool(1, 8, timeout_s=2.0, decoder=FAKE) as one:
        futures = [one.submit(b"slow:0.6") for _ in range(8)]
        assert [outcome(future) for future in futures] == [Status.OK] * 8


def test_an_image_that_dies_only_once_is_decoded(pool: DecodePool) -> None:
    """A worker lost for another reason (the out-of-memory killer, an operator) is not the image's fault."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)  # the worker is nobody where these tests run as root
        (Path(folder) / "marker").mkdir()
        assert outcome(pool.submit(f"once:{folder}/marker".encode())) is Status.OK
        assert not (Path(folder) / "marker").exists()


def test_many_poisons_between_many_pictures(pool: DecodePool) -> None:
    poisonous = {7: b"kill:7", 8: b"raise:8", 61: b"kill:61"}
    plan = [poisonous.get(i, b"picture %d" % i) for i in range(100)]
    found = [outcome(future) for future in [pool.submit(data) for data in plan]]
    expected = [Status.DECODE_CRASHED if i in poisonous else Status.OK for i in range(100)]
    assert found == expected


def test_a_worker_killed_from_outside_loses_nothing() -> None:
    others = workers_of(os.getpid())
    with DecodePool(1, 8, timeout_s=30.0, decoder=FAKE) as one:
        futures = [one.submit(b"slow:0.05:%d" % i) for i in range(60)]
        for answered in (5, 30):
            futures[answered].result(60)
            for worker in workers_of(os.getpid()):
                if worker not in others:
                    worker.kill()
        assert [outcome(future) for future in futures] == [Status.OK] * 60


def workers_of(parent: int) -> list[psutil.Process]:
    """The living decode workers of a process, the youngest last."""
    children = sorted(psutil.Process(parent).children(), key=psutil.Process.create_time)
    living = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in living if "stream.decode.worker" in child.cmdline()]


def test_poison_is_remembered_across_restarts(tmp_path: Path) -> None:
    path = tmp_path / "poison.txt"
    with DecodePool(1, 8, decoder=FAKE, poison=FilePoisonList(path)) as first:
        assert outcome(first.submit(b"kill")) is Status.DECODE_CRASHED
    with DecodePool(1, 8, decoder=FAKE, poison=FilePoisonList(path)) as second:
        worker = workers_of(os.getpid())[-1].pid
        with pytest.raises(ImageError, match="before") as known:
            second.submit(b"kill").result(60)
        assert known.value.status is Status.DECODE_CRASHED
        assert outcome(second.submit(b"fine")) is Status.OK
        assert worker in [process.pid for process in workers_of(os.getpid())]


def test_a_poison_list_survives_torn_and_foreign_lines(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "poison.txt"
    FilePoisonList(path).add(SHA, Status.TIMEOUT)
    with path.open("a") as file:
        file.write(f"{'cd' * 32} TIMEOUT another-preprocessing\n{'ef' * 32} OK squash\n\xe4 torn")
    again = FilePoisonList(path)
    assert again.seen(SHA) is Status.TIMEOUT
    assert again.seen("cd" * 32) is None
    assert again.seen("ef" * 32) is None


def test_a_poison_list_that_cannot_be_written_still_remembers(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "poison.txt"
    poison = FilePoisonList(path)
    path.unlink()
    path.parent.rmdir()
    poison.add(SHA, Status.TIMEOUT)
    assert poison.seen(SHA) is Status.TIMEOUT


def test_closing_cancels_what_waits_and_ends_the_processes() -> None:
    pool = DecodePool(1, 8, timeout_s=600, decoder=FAKE)
    workers = workers_of(os.getpid())
    futures = [pool.submit(b"hang:%d" % i) for i in range(20)]
    time.sleep(0.3)
    began = time.monotonic()
    pool.close()
    pool.close()
    assert time.monotonic() - began < 30
    for future in futures:
        with pytest.raises(CancelledError):
            future.result(0)
    assert workers[-1] not in workers_of(os.getpid())
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(b"late")


def test_a_worker_that_died_idle_blames_nobody(tmp_path: Path) -> None:
    poison = FilePoisonList(tmp_path / "poison.txt")
    with DecodePool(1, 8, decoder=FAKE, poison=poison) as one:
        for _ in range(2):
            workers_of(os.getpid())[-1].kill()
            time.sleep(0.2)
            assert outcome(one.submit(b"fine")) is Status.OK
    assert (tmp_path / "poison.txt").read_text() == ""


def test_a_cancelled_image_is_not_decoded() -> None:
    with DecodePool(1, 8, timeout_s=30, decoder=FAKE) as one:
        first = one.submit(b"slow:0.5")
        second = one.submit(b"kill")
        assert second.cancel()
        assert outcome(first) is Status.OK
        assert outcome(one.submit(b"fine")) is Status.OK


def test_a_decoder_that_cannot_start_is_said_at_once() -> None:
    with pytest.raises(ConfigurationError, match="cannot be started"):
        DecodePool(1, 8, decoder="tests.poisonous:nothing_of_that_name")


def test_workers_see_no_secrets_and_write_no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADJUDICATE_KAFKA__SASL_PASSWORD", "hunter2")
    with DecodePool(1, 8, decoder=FAKE) as one:
        with pytest.raises(ImageError, match="nothing"):
            one.submit(b"spy").result(60)
        target = tmp_path / "written"
        assert outcome(one.submit(f"write:{target}".encode())) is Status.DECODE_CRASHED
        assert not target.exists() or not target.stat().st_size


def test_memory_beyond_the_limit_is_a_status_not_a_death() -> None:
    with DecodePool(1, 64, memory_bytes=64 * 1024 * 1024) as small:
        worker = workers_of(os.getpid())[-1].pid
        assert outcome(small.submit(png(size=(5000, 5000)))) is Status.TOO_LARGE
        assert outcome(small.submit(png())) is Status.OK
        assert worker in [process.pid for process in workers_of(os.getpid())]


def test_the_largest_canvas_fits_the_default_memory() -> None:
    with DecodePool(1, 64, timeout_s=120) as one:
        for kind in ("PNG", "GIF", "JPEG", "WEBP", "AVIF"):
            buffer = io.BytesIO()
            height = 10_000 if kind in ("PNG", "GIF", "JPEG") else 5_000
            drawn = Image.new("RGB" if kind != "PNG" else "RGBA", (10_000, height), 77)
            drawn.save(buffer, kind, method=0, speed=10)
            assert outcome(one.submit(buffer.getvalue())) is Status.OK, kind


def test_a_decoder_process_imports_nothing_that_only_its_parent_needs() -> None:
    """It is started anew after every loss, and its memory is counted from what it has when idle."""
    code = "import sys, stream.decode.worker; print([m for m in ('structlog', 'asyncio', 'redis') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"[]"


def test_limits_travel_to_the_workers() -> None:
    with DecodePool(1, 16, Limits(max_pixels=100)) as strict:
        assert outcome(strict.submit(png())) is Status.TOO_LARGE


def test_workers_die_with_their_parent() -> None:
    script = (
        "from stream.decode.pool import DecodePool; import os, time\n"
        f"pool = DecodePool(2, 8, decoder={FAKE!r})\n"
        "pool.submit(b'hang')\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        parent.stdout.readline()
    workers = workers_of(parent.pid)
    assert len(workers) == 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    _gone, alive = psutil.wait_procs(workers, timeout=30)
    assert alive == []
