"""Makes the worker's producers, one after another under one transactional id."""

import time
from collections import deque
from typing import Final

import structlog
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_exponential_jitter

from stream.errors import BrokerError, ProducerLost
from stream.kafka import Sink
from stream.metrics import Progress
from stream.settings import KafkaSettings
from stream.worker.stopping import Stop, StopRequested

log = structlog.get_logger()

_FENCED_LIMIT: Final = 5
_FENCED_WITHIN_S: Final = 60.0
_LAST_CALLS_S: Final = 1.0
"""For the last commit, after what was in flight had its time."""
_GIVE_UP_AFTER_S: Final = 300.0


class Producers:
    """Each new producer fences the one before and settles what that left open."""

    def __init__(self, settings: KafkaSettings, group: str, instance: str, stop: Stop, progress: Progress) -> None:
        self._settings = settings
        self._transactional_id = f"{group}-{instance}"
        self._instance = instance
        self._stop = stop
        self._progress = progress
        self._fenced: deque[float] = deque(maxlen=_FENCED_LIMIT)

    def make(self) -> Sink:
        """Try again while the brokers are away: events wait there. Raises BrokerError in the end, StopRequested."""
        for attempt in Retrying(
            retry=retry_if_exception_type(BrokerError),
            wait=wait_exponential_jitter(multiplier=0.1, max=2.0),
            stop=stop_after_delay(_GIVE_UP_AFTER_S),
            sleep=self._stop.nap,
            reraise=True,
        ):
            with attempt:
                self._progress.waiting()
                if self._stop.is_requested:
                    raise StopRequested
                return Sink(self._settings, transactional_id=self._transactional_id, latest=self._latest)
        raise AssertionError("unreachable: Retrying returns or raises")

    def _latest(self) -> float:
        """When the last call of a producer must have returned."""
        return self._stop.by + _LAST_CALLS_S

    def replace(self, lost: Sink, error: BrokerError) -> Sink:
        """Make a producer in place of one that was lost. Raises BrokerError if another process shares its id."""
        log.warning("producer lost; making a new one", error=str(error))
        self._guard_against_a_twin(error)
        lost.discard()
        return self.make()

    def _guard_against_a_twin(self, error: BrokerError) -> None:
        """Two processes with one id would fence each other without end. One answer of the broker does not
        distinguish that from a paused process that returns; their rate does."""
        if not (isinstance(error, ProducerLost) and error.fenced):
            return
        now = time.monotonic()
        self._fenced.append(now)
        if len(self._fenced) == _FENCED_LIMIT and now - self._fenced[0] < _FENCED_WITHIN_S:
            raise BrokerError(
                f"fenced {_FENCED_LIMIT} times in a minute: another process runs as instance "
                f"{self._instance!r}; give each its own ADJUDICATE_INSTANCE"
            ) from error
