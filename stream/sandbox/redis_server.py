"""Redis on loopback."""

import shutil
import socket
from pathlib import Path
from typing import Final

from stream.errors import SandboxError
from stream.sandbox.part import Leash, Part, free_port

HOW_TO_INSTALL: Final = "on Debian: `apt-get install redis-server`"


def is_available() -> bool:
    return shutil.which("redis-server") is not None


class RedisServer(Part):
    """`redis-server` with the settings of redis.conf; `url` is "redis://127.0.0.1:PORT/0"."""

    def __init__(self, directory: Path, leash: Leash) -> None:
        if not is_available():
            raise SandboxError(f"redis-server is not installed; {HOW_TO_INSTALL}")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        home = directory / "redis"
        settings = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(home)]
        command = ["redis-server", str(Path(__file__).with_name("redis.conf")), *settings]
        super().__init__("Redis", command, home / "redis.log", self._is_ready, leash)

    def _is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1.0) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
