"""Prometheus metrics of a worker, and the watchdog that ends a stalled one."""

import faulthandler
import os
import threading
import time
from collections.abc import Callable

import structlog
from prometheus_client import Counter, Gauge, Histogram, start_http_server

from moderation.errors import ConfigurationError
from stream.settings import WorkerSettings

log = structlog.get_logger()

RECORDS = Counter("adjudicate_records_total", "Records whose results were written.", ["stage"])
COMMITS = Histogram("adjudicate_commit_seconds", "Time to commit a transaction.", ["stage"])
ABORTS = Counter("adjudicate_aborts_total", "Transactions given up and read again.", ["stage"])
WAITING = Gauge("adjudicate_waiting", "1 while records wait on the broker for a server to come back.", ["stage"])
STATUSES = Counter("adjudicate_statuses_total", "Scored events by status.", ["status"])
CACHE = Counter("adjudicate_cache_total", "Score look-ups by where they were answered.", ["answer"])
VERDICTS = Counter(
    "adjudicate_verdicts_total", "Live decisions; unknown clients under an empty name.", ["client", "verdict"]
)
REJECTS = Counter("adjudicate_rejects_total", "Records that could not be parsed.", ["stage", "reason"])
RECREATED_TOPICS = Counter(
    "adjudicate_recreated_topics_total",
    "Input topics that were found deleted and made anew.",
    ["topic"],
)
POLICY_ALARMS = Counter("adjudicate_policy_alarms_total", "Policy files that were refused while running.", ["client"])

STALLED_EXIT_CODE = 4


class Progress:
    """Notes of the worker's loop; `stalled_for_s` is how long there was work but none was done."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        self._last = time.monotonic()
        self.records = 0
        """Whose results were written, those of aborted transactions included."""

    def written(self, records: int) -> None:
        self.records += records
        RECORDS.labels(self._stage).inc(records)

    def committed(self, took_s: float) -> None:
        COMMITS.labels(self._stage).observe(took_s)
        WAITING.labels(self._stage).set(0)
        self._last = time.monotonic()

    def aborted(self) -> None:
        ABORTS.labels(self._stage).inc()

    def idle(self) -> None:
        WAITING.labels(self._stage).set(0)
        self._last = time.monotonic()

    def waiting(self) -> None:
        """A server that this worker needs is known to be away, so waiting is correct."""
        WAITING.labels(self._stage).set(1)
        self._last = time.monotonic()

    def stalled_for_s(self) -> float:
        return time.monotonic() - self._last


def _end_process() -> None:
    # Not sys.exit: the main thread is the one that hangs.
    os._exit(STALLED_EXIT_CODE)


def start_watchdog(progress: Progress, limit_s: float, end: Callable[[], None] = _end_process) -> threading.Thread:
    """End the process when work makes no progress for `limit_s`, so that a supervisor starts a fresh one."""

    def watch() -> None:
        while (stalled_s := progress.stalled_for_s()) < limit_s:
            time.sleep(min(1.0, limit_s / 4))
        log.error("no progress although there is work; ending", stalled_s=round(stalled_s, 1))
        faulthandler.dump_traceback(all_threads=True)
        end()

    thread = threading.Thread(target=watch, name="watchdog", daemon=True)
    thread.start()
    return thread


def serve_metrics(settings: WorkerSettings) -> None:
    if settings.metrics_port is not None:
        try:
            start_http_server(settings.metrics_port, addr=settings.metrics_host)
        except OSError as error:
            where = f"{settings.metrics_host}:{settings.metrics_port}"
            raise ConfigurationError(f"worker.metrics_port: cannot serve on {where}: {error.strerror}") from error
