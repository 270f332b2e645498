"""The version of the distribution `adjudicate-stream`, which brings the command `adjudicate`."""

__version__ = "0.1.0"
