"""A refused value, in words for its author."""

from pydantic_core import PydanticCustomError


def refuse(problem: str, expected: str = "", hint: str = "", offset: int = 0) -> PydanticCustomError:
    """A mistake for pydantic to collect; `offset` is where in the value it begins."""
    return PydanticCustomError(
        "policy", "{problem}", {"problem": problem, "expected": expected, "hint": hint, "offset": offset}
    )
