"""A planned stop of a static member: it stays in its group for a restart, and leaves it to scale down."""

import signal
import time

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from stream.sandbox import Sandbox
from tests.services.test_stages import Deployment, deployment  # noqa: F401 - a fixture
from tests.services.worker_group import Group

pytestmark = [pytest.mark.services, pytest.mark.timeout(120)]

SESSION_S = 6.0


@pytest.fixture
def group(sandbox: Sandbox) -> Group:
    return Group(sandbox)


def test_a_worker_that_leaves_hands_its_partitions_on_at_once(group: Group) -> None:
    with group.worker("w0"):
        with group.worker("w1") as leaving:
            group.await_members(2)
            leaving.stop(leave=True)
        stopped_at = time.monotonic()
        group.await_members(1)
        moved_after_s = time.monotonic() - stopped_at
    assert moved_after_s < SESSION_S / 2
    assert group.failures == []


def test_the_setting_makes_every_stop_a_departure(group: Group) -> None:
    with group.worker("w0"):
        with group.worker("w1", leave_on_stop=True):
            group.await_members(2)
        stopped_at = time.monotonic()
        group.await_members(1)
        assert time.monotonic() - stopped_at < SESSION_S / 2


def test_a_signal_lets_a_process_leave(deployment: Deployment) -> None:  # noqa: F811 - the fixture
    """SIGUSR1 stops it as SIGTERM does, and its group is empty at once."""
    process = deployment.start("decide")
    group = f"{deployment.settings.application}-decide"
    admin = AdminClient({"bootstrap.servers": deployment.settings.kafka.bootstrap_servers})
    await_count(admin, group, 1, within_s=60)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(20) == 0
    await_count(admin, group, 0, within_s=2)


def await_count(admin: AdminClient, group: str, count: int, within_s: float) -> None:
    """Until the group has so many members."""
    deadline = time.monotonic() + within_s
    while count_members(admin, group) != count:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def count_members(admin: AdminClient, group: str) -> int:
    try:
        return len(admin.describe_consumer_groups([group])[group].result(20).members)
    except KafkaException:
        return -1


def test_a_worker_that_only_stops_keeps_its_place_for_a_restart(group: Group) -> None:
    with group.worker("w0"):
        with group.worker("w1"):
            group.await_members(2)
            before = group.owners()
        with group.worker("w1"):
            group.await_members(2)
            assert group.owners() == before
