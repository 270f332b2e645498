"""Shared parts of both workers: logs, metrics, signals, the watchdog, and the loop until a stop is requested."""

import signal
import sys
import threading
from types import FrameType
from typing import Final

import structlog

from stream import metrics
from stream.heap import give_memory_back
from stream.logs import configure_logs
from stream.settings import Settings
from stream.signals import LEAVE_SIGNAL, STOP_SIGNALS, accept_stop_signals
from stream.worker import Stage, Worker

log = structlog.get_logger()

stopped: Final = threading.Event()
"""Set once a stop of this process is requested."""


def prepare(settings: Settings) -> None:
    give_memory_back()
    configure_logs(settings.log_level)
    accept_stop_signals()
    for number in (signal.SIGTERM, LEAVE_SIGNAL):
        signal.signal(number, lambda *_: sys.exit(0))
    metrics.serve_metrics(settings.worker)


def run_stage(settings: Settings, stage: Stage, *, group: str | None = None, stop_at_end: bool = False) -> int:
    """Run a stage until it is stopped or at its end; how many records it wrote results for."""
    worker = Worker(settings, stage, group=group, stop_at_end=stop_at_end)

    def stop(number: int, _: FrameType | None) -> None:
        log.info("stopping", signal=signal.Signals(number).name)
        stopped.set()
        worker.stop(leave=number == LEAVE_SIGNAL)

    for number in (*STOP_SIGNALS, LEAVE_SIGNAL):
        signal.signal(number, stop)
    metrics.start_watchdog(worker.progress, settings.worker.stall_after_s)
    try:
        worker.run()
    finally:
        stage.close()
    return worker.progress.records
