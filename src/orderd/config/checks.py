"""One check for each kind of value. A check returns the value to keep or raises ValueError, never quoting the value."""

import re
from decimal import Decimal
from enum import Enum
from typing import Any, Final, cast
from urllib.parse import urlsplit

from pydantic import SecretStr

from orderd.core.order import Mode

SECRETS: Final = ("key_id", "secret_key")
MASK: Final = "********"
# One host for REST and for the stream, by mode: the broker's reference, "Hosts".
ALPACA_HOSTS: Final = {Mode.PAPER: "paper-api.alpaca.markets", Mode.LIVE: "api.alpaca.markets"}

_ACCOUNT_ID = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,62}[A-Za-z0-9])?")
_DECIMAL = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
_SYMBOL = re.compile(r"[A-Z0-9./]{1,32}")
_HOST = re.compile(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+")
_LAST_PORT: Final = 65_535


def table(value: object) -> dict[str, Any] | None:
    """A TOML table, or None for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def decimal(value: object) -> object:
    """An exact decimal from text or a whole number."""
    if isinstance(value, float):
        raise ValueError("a number with a fraction is not exact here, put it in quotes")  # noqa: TRY004 - pydantic's way
    if isinstance(value, Decimal) or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str) and _DECIMAL.fullmatch(value):
        return Decimal(value)
    raise ValueError("not a decimal")


def number(value: object) -> object:
    """A number; neither true nor text that is none."""
    if isinstance(value, bool):
        raise ValueError("not a number")  # noqa: TRY004 - pydantic's way
    return value


def flag(value: object) -> object:
    """True or false; in a variable as a word."""
    if isinstance(value, bool):
        return value
    word = lower(value)
    if word not in {"true", "false"}:
        raise ValueError("neither true nor false")
    return word == "true"


def lower(value: object) -> object:
    """Words are understood in any case."""
    return value.strip().lower() if isinstance(value, str) else value


def broker(value: object) -> object:
    """A broker that this build can talk to."""
    word = lower(value)
    if word == "tradier":
        raise ValueError("tradier is not in this build yet")
    return word


def mode(value: object) -> object:
    """`paper` or `live`."""
    return value if isinstance(value, Mode) else str(value).strip().upper()


def symbols(value: object) -> object:
    """A list, or in a variable a text with commas."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple | set | frozenset):
        raise ValueError("not a list")  # noqa: TRY004 - pydantic's way
    cleaned = frozenset(str(item).strip() for item in cast("list[object]", items))
    if not all(_SYMBOL.fullmatch(item) for item in cleaned):
        raise ValueError("not all are canonical symbols")
    return cleaned


def account_id(value: str) -> str:
    """Letters, digits, `-` and `_`; two `_` in a row separate keys in variables."""
    if not _ACCOUNT_ID.fullmatch(value) or "__" in value:
        raise ValueError("not an account id")
    return value


def address(value: str) -> str:
    """HOST:PORT, an IPv6 host in brackets."""
    host, colon, port = value.rpartition(":")
    if not (colon and _HOST.fullmatch(host) and port.isdecimal() and port.isascii() and int(port) <= _LAST_PORT):
        raise ValueError("not HOST:PORT")
    return value


def address_or_off(value: str) -> str:
    """HOST:PORT, or empty."""
    return address(value) if value else value


def database_url(value: str) -> str:
    """A SQLite file by its SQLAlchemy URL."""
    scheme, separator, path = value.partition(":///")
    if value.startswith("postgres"):
        raise ValueError("PostgreSQL is not in this build yet")
    if scheme != "sqlite+aiosqlite" or not separator or not path or path == ":memory:" or set("?#") & set(path):
        raise ValueError("not the URL of a SQLite file")
    return value


def rest_url(value: str) -> str:
    """http or https, host and optional port, nothing else."""
    return _url(value, ("http", "https"), may_have_path=False)


def stream_url(value: str) -> str:
    """ws or wss, host, optional port and path."""
    return _url(value, ("ws", "wss"), may_have_path=True)


def _url(value: str, schemes: tuple[str, ...], *, may_have_path: bool) -> str:
    if not value:
        return value
    parts = urlsplit(value)  # raises ValueError itself for a broken IPv6 host
    if parts.scheme not in schemes:
        raise ValueError(f"not {' or '.join(scheme + '://' for scheme in schemes)}")
    if not parts.hostname or parts.port == 0 or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError("not such an address")
    if parts.path.strip("/") and not may_have_path:
        raise ValueError("it has a path")
    return value.rstrip("/")


def with_default_urls(values: Any) -> Any:  # noqa: ANN401 - whatever the file holds
    """Fill in the broker's own addresses, by mode, where none are given."""
    account = table(values)
    if account is None or lower(account.get("broker")) != "alpaca":
        return values
    filled = dict(account)
    if not filled.get("rest_url"):
        is_live = mode(filled.get("mode", "paper")) == Mode.LIVE
        filled["rest_url"] = f"https://{ALPACA_HOSTS[Mode.LIVE if is_live else Mode.PAPER]}"
    if not filled.get("stream_url") and isinstance(filled["rest_url"], str):
        filled["stream_url"] = filled["rest_url"].rstrip("/").replace("http", "ws", 1) + "/stream"
    return filled


def shown(value: object) -> str:
    """A value as text for people, without secrets."""
    match value:
        case None:
            return ""
        case SecretStr():
            return MASK
        case Enum():
            return str(value.value).lower()
        case frozenset():
            return ",".join(sorted(cast("frozenset[str]", value)))
        case bool():
            return str(value).lower()
        case _:
            return f"{value:f}" if isinstance(value, Decimal) else str(value)
