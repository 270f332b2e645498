"""The signals that ask a command to stop."""

import signal
from typing import Final

STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
LEAVE_SIGNAL: Final = signal.SIGUSR1
"""Stops a worker that is not to come back: it leaves its consumer group too."""


def accept_stop_signals() -> None:
    """Let SIGINT and SIGTERM stop this process, whatever its parent did with them.

    A shell starts a background job with SIGINT ignored, and a supervisor may block signals. A child inherits both.
    """
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (*STOP_SIGNALS, LEAVE_SIGNAL))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
