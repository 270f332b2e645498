"""The version of the distribution `adjudicate-stream`, which brings the command `adjudicate`."""

from typing import Final

__version__: Final = "0.1.0"
