"""The direction of imports: judging knows nothing of moving, and each vendor library has one place."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted([*(ROOT / "moderation").rglob("*.py"), *(ROOT / "stream").rglob("*.py")])

PLACES = {
    # The sandbox starts and administers brokers; docs/decisions says why that is not `stream.kafka`'s business.
    "confluent_kafka": {"stream/kafka/", "stream/sandbox/kafka_probe.py", "stream/sandbox/mock_kafka.py"},
    "tritonclient": {"moderation/classifier.py", "stream/sandbox/triton_server.py"},
    "redis": {"stream/cache.py", "stream/sandbox/redis_server.py"},
    "torch": {"moderation/training/fit/", "stream/cli/model.py"},
    "torchvision": {"moderation/training/fit/"},
    "aiohttp": {"stream/fetch"},
    "idna": {"moderation/normal/hosts.py"},
    "iso3166": {"moderation/normal/countries.py"},
    "watchfiles": {"moderation/policy/watching.py"},
}


def imports(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def name(module: Path) -> str:
    return module.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_imports_point_one_way(module: Path) -> None:
    used = set(imports(module))
    if name(module).startswith("moderation/"):
        assert not {used_name for used_name in used if used_name.split(".")[0] == "stream"}
    if name(module).startswith("moderation/policy/"):
        other = {n for n in used if n.startswith("moderation.") and n.split(".")[1] not in KNOWN_TO_POLICY}
        assert not other


KNOWN_TO_POLICY = {"policy", "documents", "labels", "events", "evidence", "wire", "errors", "adtech", "normal", "sent"}


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_each_vendor_library_has_one_place(module: Path) -> None:
    for used in {used.split(".")[0] for used in imports(module)} & set(PLACES):
        assert any(name(module).startswith(place) for place in PLACES[used]), f"{name(module)} imports {used}"


def test_imports_have_no_circles() -> None:
    graph = {name(module): _project_files(module) for module in MODULES}
    graphlib.TopologicalSorter(graph).prepare()


def _project_files(module: Path) -> set[str]:
    """The files of the project that a module imports, `from package import module` included."""
    found: set[str | None] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.update(_file_of(f"{node.module}.{alias.name}") or _file_of(node.module) for alias in node.names)
        elif isinstance(node, ast.Import):
            found.update(_file_of(alias.name) for alias in node.names)
    return {file for file in found if file and file != name(module)}


def _file_of(dotted: str) -> str | None:
    path = ROOT / dotted.replace(".", "/")
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return name(candidate)
    return None
