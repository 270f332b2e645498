"""The demo as a user runs it: real Kafka, real Triton, both stages as processes, everything gone afterwards."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from moderation.events import Decision, Verdict
from moderation.policy import load
from stream.demo.samples import SAMPLES, UNKNOWN_CLIENT
from stream.demo.workers import Workers, worker_environment
from stream.errors import SandboxError
from stream.sandbox.part import Leash, Part
from tests.parts import require_kafka

ROOT = Path(__file__).resolve().parents[2]
DEMO = [sys.executable, "-c", "from stream.cli import main; main()", "demo"]
CLASSIFY = [*DEMO[:-1], "classify"]


@pytest.fixture
def real_kafka() -> None:
    require_kafka()


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """The summary of one whole run over the samples, and its folder."""
    out = tmp_path_factory.mktemp("demo")
    ran = subprocess.run([*DEMO, "--json", "--out", str(out)], cwd=ROOT, capture_output=True, timeout=280, check=False)
    assert ran.returncode == 0, ran.stderr.decode()[-3000:]
    return json.loads(ran.stdout), out


@pytest.mark.services
def test_every_sample_gets_exactly_one_decision_per_client(
    real_kafka: None, outcome: tuple[dict[str, Any], Path]
) -> None:
    summary, out = outcome
    decisions = [Decision.model_validate_json(line) for line in (out / "decisions.jsonl").read_bytes().splitlines()]
    places = Counter((decision.event_id, decision.client) for decision in decisions)
    assert summary["broker"] == "apache-kafka"
    assert summary["exactly_once"] is True
    assert set(places.values()) == {1}
    assert len(places) == summary["decisions"]
    assert {event for event, _ in places} == {sample.name for sample in SAMPLES}
    assert set(summary["clients"]) == {*load(ROOT / "policies").clients, UNKNOWN_CLIENT}


@pytest.mark.services
def test_bad_input_gets_its_answer_and_nothing_is_dropped(
    real_kafka: None, outcome: tuple[dict[str, Any], Path]
) -> None:
    summary, out = outcome
    decisions = [Decision.model_validate_json(line) for line in (out / "decisions.jsonl").read_bytes().splitlines()]
    unknown = [decision for decision in decisions if decision.client == UNKNOWN_CLIENT]
    failed = {decision.event_id for decision in decisions if decision.status != "OK"}
    assert [(decision.verdict, decision.reasons[0].rule) for decision in unknown] == [
        (Verdict.REVIEW, "unknown_client")
    ]
    assert failed == {"broken-upload.jpg", "scalable-ad.svg", "removed-creative.png"}
    assert all(decision.verdict != Verdict.ALLOW for decision in decisions if decision.event_id in failed)
    assert [reject["reason"] for reject in summary["rejects"]] == ["not_json"]


@pytest.mark.services
def test_the_report_shows_every_image(real_kafka: None, outcome: tuple[dict[str, Any], Path]) -> None:
    html = (outcome[1] / "report.html").read_text()
    assert html.count('<article class="image"') == len(SAMPLES)
    for sample in SAMPLES:
        assert f"<bdi>{sample.name}</bdi>" in html


@pytest.mark.services
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_told_to_stop_it_leaves_no_process_behind(
    real_kafka: None, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen([*DEMO, "--out", str(tmp_path)], cwd=ROOT, stderr=stderr, start_new_session=True)
    family = list(_until_stages_run(process, log))
    process.send_signal(number)
    returned = process.wait(60)
    gone, alive = psutil.wait_procs(family, timeout=10)
    assert alive == []
    assert len(gone) >= 4, "a broker, a model server and two stages were running"
    assert returned == code


def _until_stages_run(process: subprocess.Popen[bytes], log: Path) -> Iterator[psutil.Process]:
    deadline = time.monotonic() + 200
    while b"Starting the stages" not in log.read_bytes():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    time.sleep(1.0)
    yield from psutil.Process(process.pid).children(recursive=True)


@pytest.mark.services
def test_classify_prints_a_line_per_image(tmp_path: Path) -> None:
    for sample in SAMPLES:
        if sample.name in ("coffee-photo.png", "scalable-ad.svg"):
            (tmp_path / sample.name).write_bytes(sample.draw())
    ran = subprocess.run([*CLASSIFY, "--json", str(tmp_path)], cwd=ROOT, capture_output=True, timeout=250, check=False)
    assert ran.returncode == 0, ran.stderr.decode()[-3000:]
    photo, drawing = (json.loads(line) for line in ran.stdout.splitlines())
    assert (photo["status"], drawing["status"]) == ("OK", "DECODE_UNSUPPORTED")
    assert set(photo["scores"]) >= {"violence", "adult", "political"}
    assert all(0 <= score <= 1 for score in photo["scores"].values())
    assert (photo["model"], bool(photo["version"])) == ("brand_safety", True)
    assert drawing["scores"] is None
    assert "SVG" in drawing["detail"]


def test_a_broken_policy_is_named_before_anything_is_started(tmp_path: Path) -> None:
    (tmp_path / "acme.yaml").write_text("client: acme\nversion: 1\nthresholds: {violence: {block: 70}}\n")
    ran = subprocess.run([*DEMO, "--policies", str(tmp_path), "--out", str(tmp_path / "out")], cwd=ROOT,
                         capture_output=True, timeout=120, check=False)  # fmt: skip
    assert ran.returncode == 2
    assert b"acme.yaml" in ran.stderr
    assert b"Starting" not in ran.stderr
    assert not (tmp_path / "out").exists()


def test_a_path_that_is_not_there_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "nowhere.png")
    ran = subprocess.run([*CLASSIFY, missing], cwd=ROOT, capture_output=True, timeout=120, check=False)
    assert ran.returncode == 2
    assert ran.stderr.decode().split() == f"adjudicate: {missing}: no such file or folder".split()


def test_a_model_server_with_a_scheme_is_named(tmp_path: Path) -> None:
    command = [*CLASSIFY, "--triton", "http://triton:8001", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert ran.returncode == 2
    assert ran.stderr.startswith("adjudicate: --triton http://triton:8001 has the scheme http://; write triton:8001")


def test_a_stage_that_dies_is_reported_with_its_last_words(tmp_path: Path) -> None:
    leash = Leash()
    dying = [sys.executable, "-c", "print('the policy folder is empty'); raise SystemExit(2)"]
    part = Part("adjudicate decide", dying, tmp_path / "decide.log", lambda: True, leash)
    workers = Workers([part.start()], [])
    try:
        with pytest.raises(SandboxError, match=r"(?s)adjudicate decide exited with 2.*the policy folder is empty"):
            for _ in range(100):
                workers.check()
                time.sleep(0.1)
        assert "the policy folder is empty" in workers.log_ends()
    finally:
        workers.stop()
        leash.close()


def test_a_stage_sees_none_of_the_users_own_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADJUDICATE_REDIS__URL", "redis://production:6379")
    monkeypatch.setenv("adjudicate_kafka__bootstrap_servers", "production:9092")
    environment = worker_environment({"ADJUDICATE_TRITON__URL": "127.0.0.1:1"})
    assert environment["ADJUDICATE_TRITON__URL"] == "127.0.0.1:1"
    assert not [value for value in environment.values() if "production" in value]
