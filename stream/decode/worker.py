"""The process that decodes images: little memory, no rights, ends with its parent.

Started by `stream.decode.process` as `python -m stream.decode.worker FD CONFIG` with an almost empty environment.
"""

import ctypes
import importlib
import io
import os
import resource
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Final

from PIL import Image

from moderation.errors import ImageError
from moderation.images import Limits, Views, views
from stream.decode.wire import READY, Gone, WorkerConfig, receive_request, send_reply

Decoder = Callable[[bytes, int, Limits], Views]

_NOBODY: Final = 65534
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_OPEN_FILES: Final = 32


def main() -> None:
    peer = socket.socket(fileno=int(sys.argv[1]))
    config = WorkerConfig.from_json(sys.argv[2])
    decode = _load(config.decoder)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    _load_every_codec()
    _give_up_rights(config)
    peer.sendall(READY)
    try:
        serve(peer, decode, config)
    except (Gone, OSError):
        return


def serve(peer: socket.socket, decode: Decoder, config: WorkerConfig) -> None:
    """Answer requests until the parent closes. Any other error than ImageError ends this process on
    purpose, so that the parent knows the image."""
    while True:
        for data in receive_request(peer):
            try:
                outcome: Views | ImageError = decode(data, config.size, config.limits)
            except ImageError as error:
                outcome = error
            send_reply(peer, outcome)


def _load(dotted: str) -> Decoder:
    module, _, name = dotted.partition(":")
    decoder: Decoder = getattr(importlib.import_module(module), name)
    return decoder


def _load_every_codec() -> None:
    """Whatever is imported on first use must be in memory before the right to read files is given up."""
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "AVIF"):
        buffer = io.BytesIO()
        Image.new("RGB", (16, 16)).save(buffer, kind)
        views(buffer.getvalue(), 16)


def _give_up_rights(config: WorkerConfig) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_OPEN_FILES, _OPEN_FILES))
    _limit_memory(config.memory_bytes)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    _die_with(config.parent)


def _limit_memory(memory_bytes: int) -> None:
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + memory_bytes, mapped + memory_bytes))


def _die_with(parent: int) -> None:
    """After the change of user, which clears the signal; the check covers a parent that died before it."""
    kernel = ctypes.CDLL(None, use_errno=True)
    kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    kernel.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    main()
