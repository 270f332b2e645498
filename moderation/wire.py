"""Common parts of the wire contracts."""

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Status(StrEnum):
    """How examining an image ended. Everything but OK means *not examined*.

    FETCH_*, DECODE_*, TOO_LARGE and TIMEOUT concern the image, so the whole event; MODEL_* one source of evidence.
    """

    OK = "OK"
    FETCH_FORBIDDEN = "FETCH_FORBIDDEN"
    FETCH_FAILED = "FETCH_FAILED"
    FETCH_TIMEOUT = "FETCH_TIMEOUT"
    DECODE_UNSUPPORTED = "DECODE_UNSUPPORTED"
    DECODE_FAILED = "DECODE_FAILED"
    DECODE_CRASHED = "DECODE_CRASHED"
    TOO_LARGE = "TOO_LARGE"
    TIMEOUT = "TIMEOUT"
    MODEL_UNAVAILABLE = "MODEL_UNAVAILABLE"
    MODEL_REJECTED = "MODEL_REJECTED"


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", str_max_length=4096)


Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
"""Printable: names are joined by control characters where an id is made of them."""
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class ModelStamp(Frozen):
    """What produced the scores. Two stamps are equal exactly when their scores are comparable."""

    name: str
    version: str
    preprocessing: str
    calibration: str = ""

    @property
    def text(self) -> str:
        """In one word, for keys and summaries."""
        return f"{self.name}:{self.version}:{self.preprocessing}:{self.calibration}"
