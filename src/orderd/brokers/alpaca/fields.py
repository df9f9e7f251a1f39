"""Alpaca's JSON, read field by field: exact decimals, nanosecond times, `""` and null both meaning absent.

Rule 1: a number is a `Decimal` made from the digits that were sent, whether they came as a string or a number.
Rule 2: what cannot be read exactly is a `ParseError` naming the field, never a guess.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import cast

import msgspec

Json = Mapping[str, object]

_DIGITS_LIMIT = 40
"""Longest number that is believed: 40 digits either side of the point, far inside the core's exact context."""
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[Ee][+-]?[0-9]+)?")
"""`Decimal` itself would also take blanks around it, underscores, and the digits of every script."""
_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d{2}):?(\d{2}))", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ParseError(ValueError):
    """The bytes do not say what this adapter needs to know."""


class Moment(msgspec.Struct, frozen=True):
    """A time as an aware UTC datetime (microseconds) and as whole nanoseconds since 1970."""

    time: datetime
    ns: int


def _fraction(digits: str) -> Decimal | str:
    """Read a JSON number with a point or exponent; one beyond all exponents stays a text, for whoever asks for it."""
    try:
        return Decimal(digits)
    except InvalidOperation:
        return digits


_DECODER = msgspec.json.Decoder(float_hook=_fraction)


def decode(body: bytes) -> object:
    """Read JSON with numbers exact. Raises ParseError."""
    try:
        return cast("object", _DECODER.decode(body))
    except (ValueError, RecursionError) as error:
        raise ParseError(f"not JSON: {type(error).__name__}") from None


def as_object(value: object, what: str) -> Json:
    """Take a JSON object. Raises ParseError."""
    if not isinstance(value, dict):
        raise ParseError(f"{what} is not an object")
    return cast("Json", value)


def as_list(value: object, what: str) -> Sequence[object]:
    """Take a JSON array. Raises ParseError."""
    if not isinstance(value, list):
        raise ParseError(f"{what} is not an array")
    return cast("Sequence[object]", value)


def text(row: Json, key: str) -> str:
    """Return the string, empty for null, `""` or a missing key. Raises ParseError for another type."""
    value = row.get(key)
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise ParseError(f"{key} is not text")


def required(row: Json, key: str) -> str:
    """Return the string. Raises ParseError when it is absent or empty."""
    if not (value := text(row, key)):
        raise ParseError(f"{key} is missing")
    return value


def number(row: Json, key: str) -> Decimal | None:
    """Return the exact number (a JSON string or number), None for null, `""` or a missing key. Raises ParseError."""
    value = row.get(key)
    match value:
        case None | "":
            return None
        case bool():
            raise ParseError(f"{key} is not a number")
        case str() | int() | Decimal():
            return _exact(value, key)
        case _:
            raise ParseError(f"{key} is not a number")


def required_number(row: Json, key: str) -> Decimal:
    """Return the exact number. Raises ParseError when it is absent."""
    if (value := number(row, key)) is None:
        raise ParseError(f"{key} is missing")
    return value


def _exact(value: str | int | Decimal, key: str) -> Decimal:
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise ParseError(f"{key} is not a number")
    try:
        exact = Decimal(value)
    except InvalidOperation:
        raise ParseError(f"{key} is not a number") from None
    _, digits, exponent = exact.as_tuple()
    if len(digits) > _DIGITS_LIMIT or abs(int(exponent)) > _DIGITS_LIMIT:
        raise ParseError(f"{key} has more than {_DIGITS_LIMIT} digits")
    return exact


def flag(row: Json, key: str) -> bool:
    """Return the boolean, False when absent. Raises ParseError for another type."""
    return said_flag(row, key) or False


def said_flag(row: Json, key: str) -> bool | None:
    """Return the boolean, None when nothing is said. Raises ParseError for another type."""
    value = row.get(key)
    if value is None or isinstance(value, bool):
        return value
    raise ParseError(f"{key} is not true or false")


def moment(row: Json, key: str) -> Moment | None:
    """Return an RFC 3339 time with 0 to 9 fraction digits and any offset, None when absent. Raises ParseError."""
    if not (value := text(row, key)):
        return None
    return read_moment(value, key)


def read_moment(value: str, what: str) -> Moment:
    """Read an RFC 3339 time. Raises ParseError."""
    try:
        return _moment_of(value)
    except (ValueError, OverflowError):
        raise ParseError(f"{what} is not an RFC 3339 time") from None


@lru_cache(maxsize=1024)
def _moment_of(value: str) -> Moment:
    """The same few moments stand in every answer and message about an order. Raises ValueError or OverflowError."""
    if not (found := _TIME.fullmatch(value)):
        raise ValueError("not RFC 3339")
    day, clock, fraction, _, sign, hours, minutes = found.groups()
    nanos = int((fraction or "0").ljust(9, "0"))
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    whole = datetime.fromisoformat(f"{day}T{clock}").replace(tzinfo=timezone(offset)).astimezone(UTC)
    seconds = (whole - _EPOCH) // timedelta(seconds=1)
    return Moment(time=whole + timedelta(microseconds=nanos // 1000), ns=seconds * 1_000_000_000 + nanos)


def when(row: Json, key: str) -> datetime | None:
    """Return the time as an aware UTC datetime, None when absent. Raises ParseError."""
    found = moment(row, key)
    return found.time if found else None
