"""The servers of the fault tests, one set for the whole session; `--all-faults` asks for every fault."""

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import structlog

from tests.faults.evidence import pytest_runtest_makereport  # noqa: F401 - a hook
from tests.faults.run import Run
from tests.faults.stack import Stack
from tests.faults.zygote import Zygote
from tests.parts import require_kafka, require_redis


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all-faults", action="store_true", help="run every fault test, not only the quick part")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--all-faults", default=False):
        return
    slow = [item for item in items if item.get_closest_marker("faults") and Path(__file__).parent in item.path.parents]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    """What clients here say of brokers that are killed on purpose is no news."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    require_kafka()
    require_redis()
    with Stack.below(tmp_path_factory.mktemp("stack")) as stack:
        yield stack


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    zygote = Zygote()
    yield zygote
    zygote.close()


@pytest.fixture(scope="module")
def module_run(stack: Stack, zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with Run(stack, tmp_path_factory.mktemp("run"), zygote) as run:
        yield run


@pytest.fixture
def run(module_run: Run) -> Iterator[Run]:
    """Two scorers and a decider over healthy servers; topics and processes are shared by a module's tests."""
    module_run.workers()
    yield module_run
    module_run.stack.heal()


@pytest.fixture
def make_run(stack: Stack, zygote: Zygote, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """`make_run(worker={"batch": 1})`: a run of its own, with settings by section."""
    with ExitStack() as runs:
        yield lambda **sections: runs.enter_context(Run(stack, tmp_path, zygote, **sections))
