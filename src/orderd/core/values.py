"""The small values everything is made of: ids, exact decimals, reasons.

Rule 1: money, prices and quantities are `Decimal` from the wire to the table; nothing here is ever a float.
Rule 2: arithmetic uses one explicit context. Inexact results are trapped, so a silent rounding is an exception in a
test and never a wrong cent in production; only `average` may round, and says how.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Clamped, Context, Decimal, Inexact, InvalidOperation, Overflow
from typing import NewType

import msgspec

OrderId = NewType("OrderId", str)
AccountId = NewType("AccountId", str)
ClientOrderId = NewType("ClientOrderId", str)
BrokerOrderId = NewType("BrokerOrderId", str)
ExecutionId = NewType("ExecutionId", str)
FillId = NewType("FillId", str)

ZERO = Decimal(0)
AVERAGE_PLACES = Decimal("1e-18")
"""Published averages are rounded half-even to this many places; the exact sums are kept beside them."""

EXACT = Context(prec=100, rounding=ROUND_HALF_EVEN, traps=[Inexact, InvalidOperation, Overflow, Clamped])
ROUNDED = Context(prec=100, rounding=ROUND_HALF_EVEN, traps=[InvalidOperation, Overflow])


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A value: frozen, compared by content, replaced rather than changed.

    It cannot be part of a cycle, so the garbage collector need not look at it.
    """


class Reason(Value, frozen=True, kw_only=True):
    """Why an order is where it is.

    `code` is a stable word (ours, or the broker's number), `message` is for people, `origin` says whose word it is
    (an `EventSource` value). An operator's word also says what it rests on and who gave it.
    """

    code: str
    message: str = ""
    origin: str = ""
    evidence: str = ""
    operator_name: str = ""


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def nanoseconds(moment: datetime) -> int:
    """Return the nanoseconds since 1970 of an aware time: exact, never by way of a float."""
    return (moment - _EPOCH) // _MICROSECOND * 1000


add: Callable[[Decimal, Decimal], Decimal] = EXACT.add
"""a + b, exactly."""
subtract: Callable[[Decimal, Decimal], Decimal] = EXACT.subtract
"""a - b, exactly."""
multiply: Callable[[Decimal, Decimal], Decimal] = EXACT.multiply
"""a * b, exactly."""


def divide(a: Decimal, b: Decimal) -> Decimal:
    """Return a / b rounded half-even to 18 places: the one operation that may round."""
    return ROUNDED.divide(a, b).quantize(AVERAGE_PLACES, context=ROUNDED)


def canonical(value: Decimal) -> str:
    """Return the wire form: no exponent, no trailing zeros, no minus on zero."""
    text = format(value, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text
