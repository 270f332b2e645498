"""What a newcomer's shell does to the servers: nothing, whether the virtual environment is activated or not."""

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moderation.classifier import TritonAddress, TritonClassifier
from stream.errors import SandboxError
from stream.sandbox import TritonOptions
from stream.sandbox.clean_environment import SYSTEM_PATH
from stream.sandbox.part import Leash
from stream.sandbox.triton_server import TritonServer
from tests.services.conftest import TINY_MODEL_REPOSITORY

pytestmark = pytest.mark.services

ACTIVATE = Path(sys.prefix) / "bin" / "activate"


def bare_shell() -> dict[str, str]:
    """This process' variables, as they are before the environment is activated."""
    inside = str(ACTIVATE.parent)
    path = [place for place in os.environ["PATH"].split(":") if place != inside]
    return {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"} | {"PATH": ":".join(path)}


@contextmanager
def running_sandbox(shell: str) -> Iterator[dict[str, str]]:
    """`adjudicate sandbox` as that shell starts it; yields its addresses."""
    command = f"{shlex.quote(sys.executable)} -m stream sandbox --json --model-repository {TINY_MODEL_REPOSITORY}"
    line = f". {shlex.quote(str(ACTIVATE))}; exec {command}" if shell == "activated" else f"exec {command}"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(["bash", "-c", line], env=bare_shell(), **pipes) as process:  # type: ignore[call-overload]
        try:
            answer = process.stdout.readline()
            assert answer, process.stderr.read()
            yield json.loads(answer)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0


@pytest.mark.parametrize("shell", ["activated", "bare"])
def test_a_model_of_the_sandbox_answers_from_either_shell(shell: str, real_kafka: None) -> None:
    with (
        running_sandbox(shell) as addresses,
        closing(TritonClassifier(TritonAddress(addresses["triton_grpc"]))) as asked,
    ):
        scores = asked.submit(np.full((1, 224, 224, 3), 255, np.uint8), timeout_s=20).result(30)
    assert scores.values.tolist() == [[1.0, 1.0, 1.0]]


def test_a_server_that_is_ready_but_gives_no_scores_is_named_with_its_log(
    tiny_triton: TritonOptions, tmp_path: Path
) -> None:
    """The fault of an activated environment, brought back on purpose: the backend loads its numpy 2."""
    broken = replace(tiny_triton, environment={"PATH": f"{ACTIVATE.parent}:{SYSTEM_PATH}"})
    leash = Leash()
    server = TritonServer(broken, tmp_path, leash)
    try:
        server.start().wait_ready()
        with pytest.raises(SandboxError, match=r"(?s)Triton is up, but brand_safety does not answer: .*ends with:\n.+"):
            server.wait_scores(2.0)
    finally:
        server.terminate()
        leash.close()
