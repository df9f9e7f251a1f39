"""What people type: each kind of value as a parser that says what it wants instead."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import typer

LONGEST_ID: Final = 128
LONGEST_SYMBOL: Final = 32
LONGEST_REASON: Final = 512
LONGEST_RATIONALE: Final = 8 * 1024
"""Bytes."""

_DECIMAL = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?", re.ASCII)
_KEY = re.compile(r"[A-Za-z0-9-]{1,128}")
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LAST_PORT: Final = 65_535
_MOST_DIGITS: Final = 38
_MOST_PLACES: Final = 18


def address(text: str) -> str:
    """HOST:PORT."""
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match.group(2)) > _LAST_PORT:
        raise typer.BadParameter(f"{text!r} is not HOST:PORT, such as 127.0.0.1:50051")
    return text


def address_or_off(text: str) -> str:
    """HOST:PORT, or nothing."""
    return address(text) if text else text


def decimal(text: str) -> str:
    """A decimal of at most 38 digits, 18 after the point, without exponent; passed on as it was written."""
    digits, _, places = text.lstrip("-").partition(".")
    if not _DECIMAL.fullmatch(text) or len(digits) + len(places) > _MOST_DIGITS or len(places) > _MOST_PLACES:
        raise typer.BadParameter(
            f"{text!r} is not a decimal such as 101.25 (at most {_MOST_DIGITS} digits, {_MOST_PLACES} after the point)"
        )
    return text


def positive(text: str) -> str:
    """A decimal above zero."""
    if decimal(text).startswith("-") or not text.strip("0."):
        raise typer.BadParameter(f"{text!r} is not above zero")
    return text


def key(text: str) -> str:
    """An idempotency key: it also travels to the broker."""
    if not _KEY.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is not 1 to 128 letters, digits and dashes")
    return text


def name(text: str) -> str:
    """An id or a name: 1 to 128 characters."""
    return _short(text, LONGEST_ID)


def symbol(text: str) -> str:
    """A canonical symbol: 1 to 32 characters."""
    return _short(text, LONGEST_SYMBOL).upper()


def reason(text: str) -> str:
    """A reason for the record: 1 to 512 characters."""
    return _short(text, LONGEST_REASON)


def _short(text: str, longest: int) -> str:
    if not text.strip() or len(text) > longest:
        raise typer.BadParameter(f"must have 1 to {longest} characters")
    return text


def date(text: str) -> str:
    """A day."""
    try:
        datetime.strptime(text, "%Y-%m-%d")  # noqa: DTZ007 - a day has no zone
    except ValueError:
        _wrong_date(text)
    if not _DATE.fullmatch(text):
        _wrong_date(text)
    return text


def _wrong_date(text: str) -> None:
    raise typer.BadParameter(f"{text!r} is not a day such as 2025-01-17")


def time(text: str) -> datetime:
    """A moment; the zone has to be said, because the server's and the caller's may differ."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise typer.BadParameter(f"{text!r} is not a time with its zone, such as 2025-01-17T14:30:00Z")
    return moment


def rationale(text: str) -> str:
    """Words of any number of lines, at most 8 KiB."""
    if len(text.encode(errors="replace")) > LONGEST_RATIONALE:
        raise typer.BadParameter(f"must have at most {LONGEST_RATIONALE} bytes")
    return text


def tags(texts: list[str], flag: str = "--tag") -> Mapping[str, str]:
    """`KEY=VALUE` pairs."""
    pairs = [text.partition("=") for text in texts]
    for tag, separator, _ in pairs:
        if not separator or not tag:
            raise typer.BadParameter(f"{tag!r} is not KEY=VALUE", param_hint=flag)
    found = {tag: value for tag, _, value in pairs}
    if len(found) < len(pairs):
        raise typer.BadParameter("a key is given twice", param_hint=flag)
    return found
