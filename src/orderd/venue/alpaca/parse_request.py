"""Reading what clients send: numbers or strings, Go's booleans, null and "" for absent (reference, 3 and 16)."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

from orderd.venue.alpaca.refusals import MALFORMED, UNPROCESSABLE, Problem
from orderd.venue.orders import (
    Change,
    NewLeg,
    NewOrder,
    OrderClass,
    OrderType,
    PositionIntent,
    Side,
    TimeInForce,
)

E = TypeVar("E", bound=StrEnum)
Body = Mapping[str, Any]

TRUE_WORDS: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE_WORDS: Final = frozenset({"0", "f", "F", "FALSE", "false", "False", ""})
MOST_DIGITS: Final = 9
MOST_PLACES: Final = 30
"""Digits of a number, and places before or after its point: more than any price or quantity has."""


@lru_cache(maxsize=16)
def body_of(raw: bytes) -> Body:
    """The JSON object of a request body; an empty body is an empty object. One request asks several times."""
    if not raw.strip():
        return {}
    try:
        body = json.loads(raw, parse_float=Decimal)
    except (ValueError, ArithmeticError, RecursionError):
        raise Problem(400, "request body format is invalid", 40010000) from None
    if not isinstance(body, dict):
        raise Problem(400, "request body format is invalid", 40010000)
    return cast("Body", body)


def _wrong(name: str, value: object) -> Problem:
    return Problem(UNPROCESSABLE[0], f"invalid {name}: {value}", UNPROCESSABLE[1])


def number(body: Body, name: str) -> Decimal | None:
    """A decimal sent as a number or a string; None when absent, null or empty."""
    value = body.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        raise _wrong(name, value)
    try:
        parsed = Decimal(value)
    except InvalidOperation:
        raise _wrong(name, value) from None
    if not parsed.is_finite() or abs(parsed.adjusted()) > MOST_PLACES or len(parsed.as_tuple().digits) > MOST_PLACES:
        raise _wrong(name, value)
    return parsed


def word(body: Body, name: str) -> str:
    """A string; "" when absent or null."""
    value = body.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(name, value)
    return value


def choice(kind: type[E], body: Body, name: str) -> E | None:
    """One word of an enum; None when absent."""
    value = word(body, name)
    if not value:
        return None
    try:
        return kind(value)
    except ValueError:
        raise _wrong(name, value) from None


def _needed(value: E | None, name: str) -> E:
    if value is None:
        raise Problem(UNPROCESSABLE[0], f"{name} is required", UNPROCESSABLE[1])
    return value


def truth(value: object, name: str) -> bool:
    """A boolean as Go reads it, or a JSON boolean; absent is false."""
    if isinstance(value, bool):
        return value
    if value is None or value in FALSE_WORDS:
        return False
    if value in TRUE_WORDS:
        return True
    raise _wrong(name, value)


def _object(body: Body, name: str) -> Body:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _wrong(name, value)
    return cast("Body", value)


def new_order(body: Body) -> NewOrder:
    """The order a POST asks for. Raises Problem for what cannot be read."""
    order_class = choice(OrderClass, body, "order_class") or OrderClass.SIMPLE
    quantity, notional = number(body, "qty"), number(body, "notional")
    if (quantity is None) == (notional is None):
        message = "qty or notional is required" if quantity is None else "only one of qty or notional is accepted"
        raise Problem(UNPROCESSABLE[0], message, UNPROCESSABLE[1])
    if quantity is not None and -quantity.normalize().as_tuple().exponent > MOST_DIGITS:  # type: ignore[operator]
        raise _wrong("qty", quantity)
    profit, loss = _object(body, "take_profit"), _object(body, "stop_loss")
    take_profit, limit = number(profit, "limit_price"), number(body, "limit_price")
    if order_class is OrderClass.OCO and limit is None:  # an OCO parent is its take-profit
        limit = take_profit
    is_strategy = order_class is OrderClass.MLEG
    return NewOrder(
        type=_needed(choice(OrderType, body, "type"), "type"),
        time_in_force=_needed(choice(TimeInForce, body, "time_in_force"), "time_in_force"),
        symbol="" if is_strategy else _symbol(body),
        side=None if is_strategy else _needed(choice(Side, body, "side"), "side"),
        quantity=quantity,
        notional=notional,
        limit_price=limit,
        stop_price=number(body, "stop_price"),
        trail_price=number(body, "trail_price"),
        trail_percent=number(body, "trail_percent"),
        extended_hours=truth(body.get("extended_hours"), "extended_hours"),
        client_order_id=word(body, "client_order_id"),
        order_class=order_class,
        take_profit_limit=take_profit,
        stop_loss_stop=number(loss, "stop_price"),
        stop_loss_limit=number(loss, "limit_price"),
        legs=_legs(body) if is_strategy else (),
        position_intent=choice(PositionIntent, body, "position_intent"),
    )


def _symbol(body: Body) -> str:
    symbol = word(body, "symbol")
    if not symbol:
        raise Problem(UNPROCESSABLE[0], "symbol is required", UNPROCESSABLE[1])
    return symbol


def _legs(body: Body) -> tuple[NewLeg, ...]:
    legs: object = body.get("legs")
    if not isinstance(legs, list) or not all(isinstance(leg, dict) for leg in cast("list[object]", legs)):
        raise _wrong("legs", "an array of objects is needed")
    return tuple(_leg(leg) for leg in cast("list[Body]", legs))


def _leg(leg: Body) -> NewLeg:
    ratio = number(leg, "ratio_qty")
    intent = choice(PositionIntent, leg, "position_intent")
    side = choice(Side, leg, "side")
    if side is None and intent is not None:
        side = Side.BUY if intent.value.startswith("buy") else Side.SELL
    if ratio is None:
        raise Problem(UNPROCESSABLE[0], "ratio_qty is required", UNPROCESSABLE[1])
    return NewLeg(symbol=_symbol(leg), ratio=ratio, side=_needed(side, "side"), position_intent=intent)


def change(body: Body) -> Change:
    """What a PATCH asks for."""
    return Change(
        quantity=number(body, "qty"),
        time_in_force=choice(TimeInForce, body, "time_in_force"),
        limit_price=number(body, "limit_price"),
        stop_price=number(body, "stop_price"),
        trail=number(body, "trail"),
        client_order_id=word(body, "client_order_id"),
    )


def order_id(value: str) -> str:
    """An order id in a path: a UUID, in any spelling of case."""
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise Problem(MALFORMED[0], "order_id is missing", MALFORMED[1]) from None


def moment(query: Mapping[str, str], name: str) -> datetime | None:
    """A time in a query: RFC 3339 with any fraction, or a date. Nanoseconds are cut to microseconds."""
    value = query.get(name, "")
    if not value:
        return None
    # A plus sign that a client forgot to encode arrives as a space.
    value = value.replace(" ", "+")
    head, dot, tail = value.partition(".")
    if dot:
        digits = len(tail) - len(tail.lstrip("0123456789"))
        value = f"{head}.{tail[:digits][:6].ljust(6, '0')}{tail[digits:]}"
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise _wrong(name, value) from None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def day(query: Mapping[str, str], name: str) -> date | None:
    """A date in a query, also when a time follows it."""
    value = query.get(name, "")
    if not value:
        return None
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        raise _wrong(name, value) from None


def whole(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    """A count in a query, from 1 to the most allowed."""
    value = query.get(name, "")
    if not value:
        return default
    if not value.isascii() or not value.isdigit() or len(value) > MOST_DIGITS or not 1 <= int(value) <= most:
        raise _wrong(name, value)
    return int(value)


def names(query: Mapping[str, str], name: str) -> frozenset[str]:
    """A comma list in a query; empty when absent."""
    return frozenset(each.strip() for each in query.get(name, "").split(",") if each.strip())
