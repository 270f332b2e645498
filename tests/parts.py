"""The parts of a machine that tests ask for. A missing one fails in CI (variable `CI`) and skips by name elsewhere."""

import os
import shutil

import pytest

from stream.sandbox import kafka_cluster, redis_server


def require_kafka() -> None:
    """Asks for Apache Kafka: no test of delivery may run on the mock."""
    if missing := kafka_cluster.missing_programs():
        report_missing(f"{' and '.join(missing)}, for Apache Kafka")


def require_redis() -> None:
    if not redis_server.is_available():
        report_missing("redis-server")


def require_program(name: str) -> str:
    """The path of a program."""
    found = shutil.which(name)
    if found is None:
        report_missing(name)
    return str(found)


def report_missing(what: str) -> None:
    remedy = f"missing for this test: {what}; `tools/system-packages.sh test` installs it as root on Debian"
    if os.environ.get("CI"):
        pytest.fail(remedy)
    pytest.skip(remedy)
