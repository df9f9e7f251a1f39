"""Exact decimals: one context wide enough for every product the venue makes."""

from collections.abc import Callable
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import wraps
from typing import Final, ParamSpec, TypeVar

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)
CENT: Final = Decimal("0.01")
SUB_CENT: Final = Decimal("0.0001")
MICRO: Final = Decimal("0.000001")
NANO: Final = Decimal("0.000000001")

CONTEXT: Final = Context(prec=60, rounding=ROUND_HALF_EVEN)

P = ParamSpec("P")
R = TypeVar("R")


def exact(function: Callable[P, R]) -> Callable[P, R]:
    """Run the function in the venue's context (a new thread would otherwise fall back to 28 digits)."""

    @wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with localcontext(CONTEXT):
            return function(*args, **kwargs)

    return inside


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """The greatest multiple of a power of ten that is not above the value (toward zero)."""
    return value.quantize(step, rounding=ROUND_DOWN, context=CONTEXT)


def round_to(value: Decimal, step: Decimal) -> Decimal:
    """The nearest multiple of a power of ten, halves to even."""
    return value.quantize(step, rounding=ROUND_HALF_EVEN, context=CONTEXT)


def is_whole(value: Decimal) -> bool:
    """Whether the value has no fraction."""
    return value == value.to_integral_value()


def text(value: Decimal) -> str:
    """Plain digits, no exponent, no trailing zeros."""
    if not value:
        return "0"
    digits = format(value, "f")
    return digits.rstrip("0").rstrip(".") if "." in digits else digits
