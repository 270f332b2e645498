"""Triton dead, hung, slow, full or swapped; Redis dead, slow or lying."""

import time
from collections.abc import Callable

import pytest
from redis import Redis

from tests.faults.run import Run
from tests.faults.stack import Stack

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]


def _kill_triton(stack: Stack) -> Callable[[], None]:
    stack.sandbox.running_triton.kill()
    return stack.sandbox.running_triton.restart


def _pause_triton(stack: Stack) -> Callable[[], None]:
    stack.sandbox.running_triton.pause()
    return stack.resume_triton


def _hang_model(stack: Stack) -> Callable[[], None]:
    stack.afflict_model(hang=True)
    return stack.afflict_model


def _crash_model(stack: Stack) -> Callable[[], None]:
    stack.crash_model()
    return stack.tend_model


def _kill_redis(stack: Stack) -> Callable[[], None]:
    stack.sandbox.running_redis.kill()
    return stack.sandbox.running_redis.restart


def _pause_redis(stack: Stack) -> Callable[[], None]:
    stack.sandbox.running_redis.pause()
    return stack.sandbox.running_redis.resume


@pytest.mark.parametrize("fault", [_kill_triton, _pause_triton, _hang_model, _crash_model])
def test_events_wait_for_a_model_that_is_away(run: Run, fault: Callable[[Stack], Callable[[], None]]) -> None:
    run.forget_scores()
    with run.load() as load:
        heal = fault(run.stack)
        time.sleep(8)
        heal()
        healed = time.monotonic()
        run.await_decisions()
    run.judged(healed, load)
    assert run.watch.statuses.keys() <= GOOD_AND_BAD_IMAGES
    assert [exit_ for exit_ in run.supervisor.exits if exit_.code == 4] == []


GOOD_AND_BAD_IMAGES = {"OK", "DECODE_FAILED", "DECODE_UNSUPPORTED", "TOO_LARGE", "FETCH_FORBIDDEN"}


def test_a_slow_model_and_a_full_queue_shed_nothing(make_run: Callable[..., Run]) -> None:
    """Consumption pauses and resumes, no rebalance is caused, memory stays flat."""
    run = make_run(cache={"entries": 0}, worker={"batch": 8})
    run.workers(scorers=3)
    with run.load(per_s=80) as load:
        time.sleep(8)
        rebalances = run.supervisor.logs().count("partitions assigned")
        before = run.supervisor.memory()
        run.stack.afflict_model(delay_s=1.0)
        time.sleep(15)
        during = run.supervisor.memory()
        run.stack.afflict_model()
        well = time.monotonic()
        run.await_decisions()
    run.judged(well, load)
    logs = run.supervisor.logs()
    print({name: f"{before[name] / 1e6:.0f} → {during[name] / 1e6:.0f} MB" for name in before})
    assert "Exceeds maximum queue size" in logs
    assert logs.count("partitions assigned") == rebalances
    assert run.watch.statuses.keys() <= GOOD_AND_BAD_IMAGES
    assert all(during[name] < before[name] * 1.25 + 20e6 for name in before)


def test_a_model_swapped_under_load(run: Run) -> None:
    run.forget_scores()
    with run.load() as load:
        run.stack.swap_model(2)
        swapped = time.monotonic()
        time.sleep(5)
        run.forget_scores()
        time.sleep(3)
        run.await_decisions()
    run.judged(swapped, load)
    assert run.watch.versions == {"1", "2"}


@pytest.mark.parametrize("fault", [_kill_redis, _pause_redis])
def test_without_redis_everything_is_only_slower(run: Run, fault: Callable[[Stack], Callable[[], None]]) -> None:
    with run.load() as load:
        heal = fault(run.stack)
        time.sleep(6)
        heal()
        healed = time.monotonic()
        run.await_decisions()
    run.judged(healed, load)


def test_a_lying_redis_is_not_believed(run: Run) -> None:
    """Values under each other's keys, and values that are none of ours; every decision's scores are checked."""
    run.forget_scores()
    with run.load() as load:
        time.sleep(3)
        with Redis.from_url(run.stack.sandbox.running_redis.url) as redis:
            keys = sorted(redis.scan_iter("adjudicate:evidence:*"))
            values = redis.mget(keys)
            for number, key in enumerate(keys):
                lie = (values[number - 1], b"garbage", b'{"key": 1}')[number % 3]
                redis.set(key, lie)
        for instance in ("s0", "s1"):
            run.supervisor.remove(instance)
            run.supervisor.add(instance, "score")
        lied = time.monotonic()
        run.await_decisions()
    assert len(keys) > 20
    run.judged(lied, load)
    assert "ignored" in run.supervisor.logs()
