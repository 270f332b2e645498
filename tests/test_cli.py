"""Every command is there in a bare install, says what it does, and is documented."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import structlog
import typer
from typer.testing import CliRunner

from moderation.errors import AdjudicateError, ConfigurationError, ModelUnavailable
from stream.cli import app as cli
from stream.cli.app import app
from stream.cli.errors import EXTRA_OF
from stream.errors import BrokerError
from stream.version import __version__

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
    assert capsys.readouterr().err == f"adjudicate: {error}\n"


@pytest.mark.parametrize(
    ("module", "extra"), [("torch.nn", "train"), ("matplotlib", "evaluate"), ("psutil", "sandbox")]
)
def test_a_missing_extra_is_named_with_its_remedy(
    module: str, extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lacks() -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(cli, "app", lacks)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert f"`make setup-{extra}`" in capsys.readouterr().err


def test_a_module_of_no_extra_is_a_bug_and_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ModuleNotFoundError("No module named 'stream.gone'", name="stream.gone")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(ModuleNotFoundError):
        cli.main()


def test_every_extra_that_a_message_names_exists_and_brings_the_module() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    packages = {"sklearn": "scikit-learn", "skimage": "scikit-image"}
    for module, extra in EXTRA_OF.items():
        package = packages.get(module, module.replace("_", "-"))
        assert [each for each in extras[extra] if each.startswith(package)], module


def test_the_version_is_printed() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"adjudicate {__version__}\n")


def test_nobody_is_told_to_install_somebody_elses_package() -> None:
    """On PyPI the name `adjudicate` belongs to another project."""
    pattern = re.compile(r"pip install\b[^\n]*['\" ]adjudicate(?!-stream)\b|adjudicate\[")
    texts = [*ROOT.glob("*.md"), ROOT / "pyproject.toml", *(ROOT / "docs").rglob("*.md")]
    texts += [*(ROOT / "stream").rglob("*.py"), *(ROOT / "moderation").rglob("*.py")]
    assert [path.name for path in texts if pattern.search(path.read_text(encoding="utf-8"))] == []


PRINTERS = {"stream/cli/terminal.py", "stream/logs.py"}


def test_one_module_writes_to_the_terminal() -> None:
    own = re.compile(r"\bConsole\(|typer\.echo\(|sys\.std(out|err)\.write|(?m:^\s*print\()")
    files = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "stream").rglob("*.py")}
    found = {name for name, path in files.items() if own.search(path.read_text(encoding="utf-8"))}
    assert found <= PRINTERS


def test_logs_never_mix_with_what_a_command_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever pipes `--json` into a program gets JSON, whatever a library has to complain about."""
    monkeypatch.setattr(cli, "app", lambda: structlog.get_logger().warning("librdkafka complains"))
    cli.main()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "librdkafka complains" in printed.err
