"""One thread runs at a time, chosen by a seed. Every call of a client is a point where another may go on."""

import random
import threading
from collections.abc import Callable

TURN_S = 0.01
"""Virtual seconds that pass with every turn."""


class Killed(BaseException):
    """The process of this thread was killed."""


class Process:
    """A worker's process: a thread that runs only when the schedule lets it."""

    def __init__(self, schedule: "Schedule", name: str, body: Callable[[], None]) -> None:
        self.name = name
        self.is_dead = False
        self.failure: BaseException | None = None
        self.paused_until = 0.0
        self._schedule = schedule
        self._body = body
        self._go = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def turn(self) -> None:
        """Called by the schedule: run until the next point."""
        self._go.release()
        self._schedule.back.acquire()

    def point(self) -> None:
        """Called in the process: let others go on. Raises Killed."""
        if self.is_dead:
            raise Killed
        self._schedule.back.release()
        self._go.acquire()
        if self.is_dead:
            raise Killed

    def _run(self) -> None:
        self._go.acquire()
        try:
            if not self.is_dead:
                self._body()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - judged by the test
            self.failure = error
        self.is_dead = True
        self._schedule.back.release()

    def kill(self) -> None:
        """SIGKILL; the thread unwinds at once, and nothing it does has an effect any more."""
        if self.is_dead:
            return
        self.is_dead = True
        self._schedule.running = self
        self.turn()
        self._schedule.running = None
        self._thread.join()


class Schedule:
    """Virtual time and the choice of who runs next."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 100.0
        self.back = threading.Semaphore(0)
        self.running: Process | None = None
        self.trace: list[str] = []

    def chance(self, probability: float) -> bool:
        return self.random.random() < probability

    def note(self, text: str) -> None:
        self.trace.append(f"{self.now:8.2f} {self.running.name if self.running else '-':4} {text}")

    def turn(self, processes: list[Process]) -> None:
        """Let one of those that can run reach its next point."""
        self.now += TURN_S
        able = [each for each in processes if not each.is_dead and each.paused_until <= self.now]
        if able:
            self.running = self.random.choice(able)
            self.running.turn()
            self.running = None

    def point(self) -> None:
        assert self.running is not None
        self.running.point()

    def wait(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """In a process: let virtual time pass. Returns whether `until` holds."""
        deadline = self.now + seconds
        while not until() and self.now < deadline:
            self.point()
        return until()


class Clock:
    """Stands for the module `time` in the code under test."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def monotonic(self) -> float:
        return self._schedule.now

    def sleep(self, seconds: float) -> None:
        self._schedule.wait(seconds)
