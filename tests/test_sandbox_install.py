"""Fetching once, whoever asks; and saying plainly what is missing. No server is started here."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from stream.errors import SandboxError
from stream.sandbox import Sandbox, install, kafka_cluster, python_library, redis_server
from stream.sandbox.clean_environment import KEPT, SYSTEM_PATH
from stream.sandbox.part import Leash, Part, free_port
from tests import parts


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(install.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_cache_is_in_the_checkout_unless_told_otherwise(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert install.cache_directory() == cache
    monkeypatch.delenv(install.CACHE_VARIABLE)
    assert install.cache_directory() == Path(__file__).parents[1] / ".sandbox"


def test_a_thing_is_built_once_by_many_at_once(cache: Path) -> None:
    builds: list[Path] = []

    def build(target: Path) -> None:
        time.sleep(0.2)
        builds.append(target)
        (target / "made").touch()

    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: install.installed("thing", build), range(4)))
    assert found == [cache / "thing"] * 4
    assert (cache / "thing" / "made").exists()
    assert len(builds) == 1


def test_an_interrupted_build_starts_again_from_nothing(cache: Path) -> None:
    def interrupted(target: Path) -> None:
        (target / "half").touch()
        raise SandboxError("no network")

    with pytest.raises(SandboxError, match="no network"):
        install.installed("thing", interrupted)
    assert not (cache / "thing").exists()
    install.installed("thing", lambda target: (target / "whole").touch())
    assert [file.name for file in (cache / "thing").iterdir()] == ["whole"]


def test_a_failed_program_is_quoted() -> None:
    program = [sys.executable, "-c", "import sys; print('line one'); sys.exit('no such artifact')"]
    with pytest.raises(SandboxError, match=r"(?s)cannot fetch it: .* exited with 1\n.*no such artifact"):
        install.run(program, "fetch it")
    with pytest.raises(SandboxError, match="cannot fetch it"):
        install.run(["no-such-program"], "fetch it")


def test_a_wheel_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    wrong = f"packaging==26.3 --hash=sha256:{'0' * 64}\n"
    with pytest.raises(SandboxError, match="cannot install packaging=="):
        install.install_wheels(wrong, tmp_path / "site", "3.11", "--no-deps", "--require-hashes")
    assert not (tmp_path / "site" / "packaging").exists()


def test_maven_is_not_needed_once_kafka_is_there(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda program: None if program == "mvn" else program)
    assert kafka_cluster.missing_programs() == ["mvn"]
    (cache / kafka_cluster.jars_name()).mkdir(parents=True)
    assert kafka_cluster.missing_programs() == []


def test_no_shared_python_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_library, "_search", lambda: None)
    with pytest.raises(SandboxError, match=r"apt-get install libpython3\.11"):
        python_library.python_library()


def test_no_redis_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(redis_server, "is_available", lambda: False)
    leash = Leash()
    with pytest.raises(SandboxError, match="apt-get install redis-server"):
        redis_server.RedisServer(tmp_path, leash)
    leash.close()


def test_a_free_port_is_below_the_kernels_own() -> None:
    assert 20_000 <= free_port() < 32_000


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[Part]:
    program = "import time; print('awake', flush=True); time.sleep(60)"
    leash = Leash()
    part = Part("Sleeper", [sys.executable, "-c", program], tmp_path / "sleeper.log", lambda: False, leash)
    yield part
    part.kill()
    leash.close()


def test_a_part_that_never_answers_is_named_with_its_log(sleeper: Part) -> None:
    sleeper.start()
    with pytest.raises(SandboxError, match=r"(?s)Sleeper is not ready after 2 s; its log .*sleeper\.log.*awake"):
        sleeper.wait_ready(2)
    sleeper.terminate()
    assert not sleeper.is_alive()
    with pytest.raises(SandboxError, match="Sleeper is not running"):
        _ = sleeper.pid


def test_a_paused_part_can_be_stopped(sleeper: Part) -> None:
    sleeper.start()
    sleeper.pause()
    sleeper.terminate(timeout_s=5)
    assert not sleeper.is_alive()


def test_the_leash_alone_kills_what_it_watches() -> None:
    leash = Leash()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as victim:
        leash.tell("+", victim.pid)
        leash.close()
        assert victim.wait(5) == -9


def test_the_leash_forgets_what_ended_well() -> None:
    leash = Leash()
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as survivor:
        leash.tell("+", survivor.pid)
        leash.tell("-", survivor.pid)
        leash.close()
        assert survivor.poll() is None
        survivor.terminate()


def test_a_server_sees_nothing_of_the_users_shell(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "LD_PRELOAD", "ADJUDICATE_INSTANCE"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    own = tmp_path / "own-server"
    own.write_text("#!/bin/sh\nexec env\n")
    own.chmod(0o755)
    leash = Leash()
    part = Part("Server", ["own-server"], tmp_path / "log", lambda: True, leash).start()
    with pytest.raises(SandboxError, match="exited with 0"):
        while True:
            part.assert_alive()
    leash.close()
    seen = dict(line.partition("=")[::2] for line in part.log.read_text().splitlines())
    assert seen.keys() - {"PWD", "_", "SHLVL", "OLDPWD"} <= {*KEPT, "PATH", "LC_ALL"}
    assert (seen["PATH"], seen["LC_ALL"]) == (SYSTEM_PATH, "C.UTF-8")


def test_a_part_that_was_not_started_is_an_error_not_none() -> None:
    stack = Sandbox(redis=False, triton=False)
    with pytest.raises(SandboxError, match="Redis is not running in this sandbox"):
        _ = stack.running_redis
    with pytest.raises(SandboxError, match="Triton is not running"):
        _ = stack.running_triton


@pytest.mark.parametrize(("ci", "ending"), [("true", pytest.fail.Exception), (None, pytest.skip.Exception)])
def test_a_test_whose_part_is_missing_says_which(
    ci: str | None, ending: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_server, "is_available", lambda: False)
    monkeypatch.setenv("CI", ci) if ci else monkeypatch.delenv("CI", raising=False)
    with pytest.raises(ending, match="missing for this test: redis-server"):
        parts.require_redis()


def test_two_processes_never_take_the_same_port() -> None:
    """A server binds its port seconds after it was chosen."""
    code = "from stream.sandbox.part import free_port; print([free_port() for _ in range(300)], flush=True); input()"
    others = [
        subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    taken: list[int] = []
    for other in others:
        assert other.stdout is not None
        taken += json.loads(other.stdout.readline())
    for other in others:
        other.communicate("\n", timeout=30)
    assert len(set(taken)) == len(taken) == 600
