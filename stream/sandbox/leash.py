"""Runs as a separate process: kills the sandbox's servers when the process that started them dies.

Usage: leash.py PARENT_PID. Lines on stdin are process groups to watch (`+123`) and to forget (`-123`).

A parent-death signal (prctl) would be shorter, but it follows the *thread* that forked, reaches no
grandchildren (Triton's model processes), and cannot be set without running code between fork and exec.
"""

import contextlib
import os
import select
import signal
import sys


def hold(parent: int) -> None:
    """Follow stdin until it ends or the parent dies, then kill every group still watched."""
    watched: set[int] = set()
    with contextlib.suppress(ProcessLookupError):
        _follow(os.pidfd_open(parent), watched)
    for group in watched:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def _follow(parent: int, watched: set[int]) -> None:
    pending = b""
    while True:
        ready, _, _ = select.select([0, parent], [], [])
        received = os.read(0, 65536) if 0 in ready else b""
        *lines, pending = (pending + received).split(b"\n")
        for line in lines:
            (watched.add if line.startswith(b"+") else watched.discard)(int(line[1:]))
        if not received:
            return


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hold(int(sys.argv[1]))
