"""Every command is there in a bare install, says what it does, and is documented."""

import subprocess
import sys
from pathlib import Path

import pytest
import structlog
import typer
from typer.testing import CliRunner

from moderation.errors import AdjudicateError, BrokerError, ConfigurationError, ModelUnavailable
from stream.cli import app as cli
from stream.cli.app import app

ROOT = Path(__file__).parent.parent
GROUP = typer.main.get_command(app)


def commands(group: object = GROUP, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in getattr(group, "commands", {}).items():
        found += commands(command, (*path, name)) if hasattr(command, "commands") else [(*path, name)]
    return found


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_says_what_it_does(command: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert len(result.output.split()) > 10


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_every_command_is_documented(command: tuple[str, ...]) -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    assert f"adjudicate {' '.join(command)}" in text


def test_help_needs_neither_extras_nor_vendor_libraries() -> None:
    """Typer alone: importing the command line must not import what only commands need."""
    heavy = ["torch", "onnxruntime", "onnx", "skimage", "matplotlib", "cv2", "confluent_kafka", "tritonclient"]
    code = f"import sys, stream.cli.app; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_expected_error_is_one_message_and_exit_code_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "stream", "score", "--settings", str(tmp_path / "none.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "none.yaml" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "code"), [(BrokerError("fenced"), 3), (ModelUnavailable("away"), 3), (ConfigurationError("wrong"), 2)]
)
def test_a_supervisor_can_tell_what_may_pass_from_what_must_be_mended(
    error: AdjudicateError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr(cli, "app", fails)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == code
    assert str(error) in capsys.readouterr().err


def test_logs_never_mix_with_what_a_command_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever pipes `--json` into a program gets JSON, whatever a library has to complain about."""
    monkeypatch.setattr(cli, "app", lambda: structlog.get_logger().warning("librdkafka complains"))
    cli.main()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "librdkafka complains" in printed.err
