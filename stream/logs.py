"""Logs: one JSON object a line on standard error; lines for people when that is a terminal."""

import logging
import sys
from typing import Final

import structlog
from structlog.tracebacks import ExceptionDictTransformer

_TRACEBACKS: Final = ExceptionDictTransformer(show_locals=False)
"""Variables hold events, which hold people's data, and printing them costs more than the work that failed."""


def configure_logs(level: str) -> None:
    renderer = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer(sort_keys=True)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(_TRACEBACKS),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=_to_standard_error,
    )


def _to_standard_error(*_: object) -> structlog.PrintLogger:
    """Read for each line, because a program that runs commands may have replaced the stream."""
    return structlog.PrintLogger(sys.stderr)
