"""Workers that die, hang, come back and get in each other's way."""

import signal
import time
from collections.abc import Callable

import pytest

from tests.faults.run import Run

pytestmark = [pytest.mark.faults, pytest.mark.timeout(400)]

KILLS = ("kill_before_produce", "kill_before_offsets", "kill_before_commit", "kill_during_commit")


@pytest.mark.parametrize("fault", KILLS)
@pytest.mark.parametrize("instance", ["s0", "d0"])
def test_killed_at_each_point_of_a_transaction(run: Run, instance: str, fault: str) -> None:
    stage = {"s": "score", "d": "decide"}[instance[0]]
    with run.load() as load:
        run.supervisor.remove(instance)
        run.supervisor.add(instance, stage, fault)
        died = run.await_exit(instance, -signal.SIGKILL)
        run.await_decisions()
    run.judged(died, load)


@pytest.mark.parametrize("instance", ["s0", "d0"])
def test_a_zombie_is_fenced(run: Run, instance: str) -> None:
    """Stopped for longer than the session and the transaction may last, then awake with what it still holds."""
    run.workers(deciders=2)
    with run.load() as load:
        run.supervisor.hurt(instance, signal.SIGSTOP)
        time.sleep(12)
        run.supervisor.hurt(instance, signal.SIGCONT)
        resumed = time.monotonic()
        run.await_decisions()
        time.sleep(3)
    run.judged(resumed, load)


def test_two_processes_with_one_transactional_id(run: Run) -> None:
    with run.load() as load:
        twin = run.supervisor.add_twin("s0")
        time.sleep(10)
        run.supervisor.remove(twin)
        alone = time.monotonic()
        run.await_decisions()
    run.judged(alone, load)
    assert "enced" in run.supervisor.logs()


def test_partitions_that_a_restart_left_to_nobody_are_taken_up(make_run: Callable[..., Run]) -> None:
    """A static member that comes back gets what it had, and nobody tells the group that the rest was given up."""
    run = make_run()
    run.workers(scorers=0)
    run.supervisor.add("s0", "score", "kill_when_revoked")
    with run.load() as load:
        run.supervisor.add("s1", "score")
        died = run.await_exit("s0", -signal.SIGKILL)
        time.sleep(20)
    run.judged(died, load)


def test_a_storm_of_rebalances(run: Run) -> None:
    with run.load() as load:
        for number in range(5):
            run.supervisor.add(f"storm-s{number}", "score")
            time.sleep(1.5)
            run.supervisor.add(f"storm-d{number}", "decide")
            time.sleep(1.5)
            ending = signal.SIGTERM if number % 2 else signal.SIGKILL
            run.supervisor.remove(f"storm-s{number}", ending)
            run.supervisor.remove(f"storm-d{number}", ending)
        calm = time.monotonic()
        run.await_decisions()
    run.judged(calm, load)


def test_a_thread_that_does_not_poll_in_time(make_run: Callable[..., Run]) -> None:
    run = make_run(kafka={"max_poll_interval_s": 8})
    run.workers()
    with run.load() as load:
        run.supervisor.remove("s0")
        run.supervisor.add("s0", "score", "sleep_before_commit")
        time.sleep(24)
        slept = time.monotonic()
        run.await_decisions()
    assert "Application maximum poll interval" in run.supervisor.log("s0")
    run.judged(slept, load)


def test_a_batch_that_takes_longer_than_the_poll_interval(make_run: Callable[..., Run]) -> None:
    """The owner thread goes on polling meanwhile: nobody is expelled."""
    run = make_run(kafka={"max_poll_interval_s": 8}, triton={"timeout_s": 60})
    run.workers()
    with run.load(per_s=30) as load:
        run.stack.afflict_model(delay_s=12)
        time.sleep(14)
        run.stack.afflict_model()
        well = time.monotonic()
        run.await_decisions()
    run.judged(well, load)
    assert "Application maximum poll interval" not in run.supervisor.logs()
    assert "partitions lost" not in run.supervisor.logs()


def test_a_stalled_worker_ends_itself_and_is_started_again(make_run: Callable[..., Run]) -> None:
    run = make_run(worker={"stall_after_s": 6, "stop_within_s": 4})
    run.workers()
    with run.load() as load:
        run.supervisor.remove("s0")
        run.supervisor.add("s0", "score", "stall")
        ended = run.await_exit("s0", 4)
        run.await_decisions()
    run.judged(ended, load)


@pytest.mark.parametrize("instance", ["s0", "d0"])
def test_told_to_stop_under_load_it_leaves_nothing_open(run: Run, instance: str) -> None:
    stage = {"s": "score", "d": "decide"}[instance[0]]
    topics = run.settings.topics
    written = [topics.scores] if stage == "score" else [topics.allow, topics.review, topics.block]
    with run.load() as load:
        started = time.monotonic()
        code = run.supervisor.remove(instance, signal.SIGTERM)
        took_s = time.monotonic() - started
        passed_s = run.readers_pass_in_s(*written, topics.rejects)
        run.supervisor.add(instance, stage)
        run.await_decisions()
    print(f"{instance} stopped in {took_s:.1f} s; readers held back for {passed_s:.1f} s")
    assert code == 0
    assert took_s < 10
    assert passed_s < run.settings.kafka.transaction_timeout_s / 2
    run.judged(started, load)


@pytest.mark.parametrize("instance", ["s0", "d0"])
def test_told_to_stop_while_the_brokers_hang_it_still_stops_in_time(
    make_run: Callable[..., Run], instance: str
) -> None:
    """With the defaults of `stop_within_s` and `request_timeout_s`: 10 s is the promise."""
    run = make_run(worker={"stop_within_s": 8}, kafka={"request_timeout_s": 5})
    run.workers()
    with run.load() as load:
        for broker in run.stack.sandbox.kafka:
            broker.pause()
        time.sleep(2)
        started = time.monotonic()
        code = run.supervisor.remove(instance, signal.SIGTERM)
        took_s = time.monotonic() - started
        for broker in run.stack.sandbox.kafka:
            broker.resume()
        resumed = time.monotonic()
        run.workers()
        run.await_decisions()
    print(f"{instance} stopped in {took_s:.1f} s")
    assert code == 0
    assert took_s < 10
    run.judged(resumed, load)
