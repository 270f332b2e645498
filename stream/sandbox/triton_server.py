"""A real Triton on loopback, from NVIDIA's wheel of it."""

import http.client
import json
import math
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from stream.errors import SandboxError
from stream.sandbox.clean_environment import SYSTEM_PATH, clean_environment
from stream.sandbox.install import install_wheels, installed
from stream.sandbox.part import Leash, Part, free_port
from stream.sandbox.python_library import PythonLibrary, python_library

WHEEL: Final = "nvidia-pytriton==0.7.0 --hash=sha256:21f063ff93bb426d0c06b7a55e7eb9efcfe62c0dddd9a908e9877e18710128df"
NUMPY: Final = "numpy==1.26.4"
"""The wheel's stub was built for numpy 1: with numpy 2 every output tensor arrives empty."""

BACKEND_PACKAGES: Final = ("onnxruntime", "flatbuffers", "packaging", "protobuf")
"""What a model.py here may import beside numpy, in the versions of the running environment."""

MODEL: Final = "brand_safety"
SCORES_TIMEOUT_S: Final = 40.0
"""For the first answer of each model, which a loaded machine gives late."""


@dataclass(frozen=True)
class TritonOptions:
    """model_repository: by default the checkout's `model_repository/`.

    config_name: serve `configs/NAME.pbtxt` of each model instead of its `config.pbtxt`.
    arguments:   more arguments for tritonserver.
    environment: more variables for it and its models.
    ready_models: models that must be ready before the server counts as ready.
    """

    model_repository: Path | None = None
    config_name: str = ""
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    ready_models: tuple[str, ...] = (MODEL,)


def installation(python: PythonLibrary) -> Path:
    """The directory of the server and its python backend, installed on the first call. Raises SandboxError."""
    packages = _backend_requirements()
    digest = sha256(f"{WHEEL}\n{packages}".encode()).hexdigest()[:12]
    return installed(f"triton-py{python.version}-{digest}", lambda target: _install(target, python, packages))


def _backend_requirements() -> str:
    return "\n".join([NUMPY, *map(_pinned, BACKEND_PACKAGES)]) + "\n"


def _pinned(package: str) -> str:
    try:
        return f"{package}=={metadata.version(package)}"
    except metadata.PackageNotFoundError:
        raise SandboxError(f"{package} is not installed: run `make setup-sandbox` in the checkout") from None


def _install(target: Path, python: PythonLibrary, packages: str) -> None:
    wheel, backend = target / "wheel", target / "backends" / "python"
    install_wheels(WHEEL + "\n", wheel, python.version, "--no-deps", "--require-hashes")
    server = wheel / "pytriton" / "tritonserver"
    # The backend looks for its stub beside itself, and the stub for modules beside the backend:
    # a model.py then imports numpy here exactly as it does in NVIDIA's container.
    install_wheels(packages, backend, python.version)
    shutil.copytree(server / "backends" / "python", backend, dirs_exist_ok=True)
    stub = shutil.copy(server / "python_backend_stubs" / python.version / "triton_python_backend_stub", backend)
    for program in (Path(stub), server / "bin" / "tritonserver"):
        program.chmod(0o755)


def _assemble(model: Path) -> None:
    """The served graph holds weights that come from a package: a checkout has only its parts."""
    if not (model / "towers").is_dir():
        return
    try:
        from moderation.training.graph.assemble import assemble  # noqa: PLC0415 - only this needs onnx
    except ModuleNotFoundError as error:
        raise SandboxError(f"{error.name} is not installed: run `make setup-sandbox` in the checkout") from error
    assemble(model)


def default_model_repository() -> Path:
    """`model_repository/` of the checkout, else of the current directory. Raises SandboxError."""
    roots = (Path(__file__).resolve().parents[2], Path.cwd())
    found = [root / "model_repository" for root in roots if (root / "model_repository").is_dir()]
    if not found:
        raise SandboxError(f"no model_repository/ in {' or '.join(map(str, roots))}: name one")
    return found[0]


def _environment(python: PythonLibrary, root: Path, more: Mapping[str, str]) -> dict[str, str]:
    libraries = f"{python.directory}:{root / 'wheel' / 'nvidia_pytriton.libs'}"
    # The backend's interpreter takes its standard library from the first python3 on PATH.
    path = f"{python.home / 'bin'}:{SYSTEM_PATH}"
    return {**clean_environment(PATH=path, LD_LIBRARY_PATH=libraries), **more}


class TritonServer(Part):
    """Triton on three loopback ports: `grpc`, `http` and `metrics`, each "127.0.0.1:PORT"."""

    def __init__(self, options: TritonOptions, directory: Path, leash: Leash) -> None:
        self.options = options
        self.grpc, self.http, self.metrics = (f"127.0.0.1:{free_port()}" for _ in range(3))
        python = python_library()
        root = installation(python)
        super().__init__(
            "Triton", self._command(root), directory / "triton" / "triton.log", self._is_ready, leash,
            _environment(python, root, options.environment),
        )  # fmt: skip

    def _command(self, root: Path) -> list[str]:
        server = root / "wheel" / "pytriton" / "tritonserver"
        repository = (self.options.model_repository or default_model_repository()).absolute()
        _assemble(repository / MODEL)
        addresses = {"grpc": self.grpc, "http": self.http, "metrics": self.metrics}
        binds = [
            option
            for kind, address in addresses.items()
            for option in (f"--{kind}-address=127.0.0.1", f"--{kind}-port={address.partition(':')[2]}")
        ]
        named = [f"--model-config-name={self.options.config_name}"] if self.options.config_name else []
        return [
            str(server / "bin" / "tritonserver"),
            f"--model-repository={repository}",
            f"--backend-directory={root / 'backends'}",
            f"--cache-directory={server / 'caches'}",
            "--disable-auto-complete-config",
            "--exit-timeout-secs=3",
            *binds,
            *named,
            *self.options.arguments,
        ]

    def _is_ready(self) -> bool:
        models = (f"/v2/models/{model}/ready" for model in self.options.ready_models)
        return all(self.ask("GET", path)[0] == http.HTTPStatus.OK for path in ("/v2/health/ready", *models))

    def wait_scores(self, timeout_s: float = SCORES_TIMEOUT_S) -> None:
        """Ask each model for one answer. A server may call itself ready and answer nothing that can be read.

        Raises SandboxError with the end of the server's log.
        """
        deadline = time.monotonic() + timeout_s
        for model in self.options.ready_models:
            while problem := self._inference_problem(model, max(1.0, deadline - time.monotonic())):
                self.assert_alive()
                if time.monotonic() > deadline:
                    raise SandboxError(f"Triton is up, but {model} does not answer: {problem}{self.log_tail()}")
                time.sleep(0.2)

    def _inference_problem(self, model: str, timeout_s: float) -> str:
        """Why one blank input gets no readable answer; empty if it gets one. Over HTTP, which has no TLS here."""
        status, config = self.ask("GET", f"/v2/models/{model}/config", timeout_s=timeout_s)
        if status == http.HTTPStatus.OK:
            body = json.dumps({"inputs": _blank_inputs(json.loads(config))})
            status, answer = self.ask("POST", f"/v2/models/{model}/infer", body, timeout_s)
            return _answer_problem(answer) if status == http.HTTPStatus.OK else answer
        return config

    def load(self, model: str = MODEL, parameters: Mapping[str, Any] | None = None) -> None:
        """Load or reload a model (needs `--model-control-mode=explicit`). Raises SandboxError."""
        self._repository("load", model, {"parameters": dict(parameters or {})})

    def unload(self, model: str = MODEL) -> None:
        """Unload a model (needs `--model-control-mode=explicit`). Raises SandboxError."""
        self._repository("unload", model, {})

    def _repository(self, action: str, model: str, body: Mapping[str, Any]) -> None:
        status, answer = self.ask("POST", f"/v2/repository/models/{model}/{action}", json.dumps(body))
        if status != http.HTTPStatus.OK:
            raise SandboxError(f"Triton did not {action} {model}: {answer}")

    def ask(self, method: str, path: str, body: str = "", timeout_s: float = 30.0) -> tuple[int, str]:
        """One HTTP request: status and body, or status 0 without an answer."""
        connection = http.client.HTTPConnection(self.http, timeout=timeout_s)
        try:
            connection.request(method, path, body or None)
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)
        finally:
            connection.close()


def _blank_inputs(config: dict[str, Any]) -> list[dict[str, Any]]:
    """A batch of one zero for every input that a model's configuration names."""
    batch = [1] if config.get("max_batch_size", 0) > 0 else []
    inputs = []
    for each in config["input"]:
        shape = batch + [max(1, int(size)) for size in each["dims"]]
        kind = each["data_type"].removeprefix("TYPE_")
        inputs.append({"name": each["name"], "shape": shape, "datatype": kind, "data": [0] * math.prod(shape)})
    return inputs


def _answer_problem(answer: str) -> str:
    outputs = json.loads(answer).get("outputs", [])
    empty = [each["name"] for each in outputs if len(each.get("data", [])) != math.prod(each["shape"])]
    if not outputs or empty:
        return f"its answer is empty or cut short ({', '.join(empty) or 'no outputs'})"
    return ""
