"""The one script that sets up a machine: installs as root, else names in one line what is missing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "tools" / "system-packages.sh"
TOOLS = ("sed", "grep", "make")


class Machine:
    """A PATH with some programs only, each a script that stands alone; `apt-get` writes down what it was asked."""

    def __init__(self, folder: Path, *, root: bool) -> None:
        self._bin = folder / "bin"
        self._bin.mkdir()
        self.asked = folder / "asked"
        for tool in TOOLS:
            self.put(tool, f'exec {shutil.which(tool)} "$@"')
        self.put("python3", f'exec {sys.executable} "$@"')
        self.put("id", f"echo {0 if root else 1000}")
        self.put("apt-get", f'echo "$@" >> {self.asked}')
        self.put("ldconfig", "echo libpython3.11.so.1.0")

    def put(self, program: str, line: str) -> None:
        """A script of that name. Never a link: writing through one would change the machine itself."""
        (self._bin / program).write_text(f"#!/bin/sh\n{line}\n")
        (self._bin / program).chmod(0o755)

    def run(self, target: str) -> "subprocess.CompletedProcess[str]":
        command = ["/bin/bash", str(SCRIPT), target]
        return subprocess.run(
            command, env={"PATH": str(self._bin)}, capture_output=True, text=True, timeout=60, check=False
        )


JAVA = 'echo "    java.specification.version = {}" >&2'


def equip(machine: Machine, *, java: str = "17") -> None:
    machine.put("java", JAVA.format(java))
    for program in ("mvn", "redis-server", "chromium"):
        machine.put(program, "true")


def test_a_machine_that_has_everything_is_left_alone(tmp_path: Path) -> None:
    machine = Machine(tmp_path, root=True)
    equip(machine)
    done = machine.run("test")
    assert (done.returncode, done.stderr) == (0, "")
    assert not machine.asked.exists()


def test_root_on_debian_gets_what_is_missing(tmp_path: Path) -> None:
    machine = Machine(tmp_path, root=True)
    done = machine.run("test")
    assert done.returncode == 0
    asked = machine.asked.read_text()
    for package in ("openjdk-17-jre-headless", "maven", "redis-server", "chromium"):
        assert package in asked


@pytest.mark.parametrize(("target", "code"), [("test", 1), ("demo", 0)])
def test_anybody_else_is_told_in_one_line(target: str, code: int, tmp_path: Path) -> None:
    """A test run ends there; the demo has stand-ins for Java, Maven and Redis."""
    machine = Machine(tmp_path, root=False)
    done = machine.run(target)
    assert done.returncode == code
    (line,) = done.stderr.splitlines()
    assert "install first: apt-get install openjdk-17-jre-headless maven redis-server" in line.lower()
    assert not machine.asked.exists()


@pytest.mark.parametrize("version", ["1.8", "11", "16"])
def test_a_java_that_is_too_old_counts_as_none(version: str, tmp_path: Path) -> None:
    machine = Machine(tmp_path, root=False)
    equip(machine, java=version)
    done = machine.run("test")
    assert "openjdk-17-jre-headless" in done.stderr
    assert done.returncode == 1
