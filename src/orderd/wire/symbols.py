"""The canonical spelling of symbols, and what an option's symbol says.

Canonical: a dot for share classes (BRK.B), a slash for crypto pairs (BTC/USD), compact OCC for options
(AAPL250117C00150000: root, YYMMDD, C or P, strike in thousandths on eight digits). Options are read from the right,
because roots may hold digits.
"""

import re
from datetime import date
from decimal import Decimal
from functools import lru_cache
from typing import Final

from orderd.core.values import Value

MAX_SYMBOL: Final = 32

_SHARE: Final = re.compile(r"[A-Z][A-Z0-9]{0,9}(?:\.[A-Z0-9]{1,5}){0,2}")
_PAIR: Final = re.compile(r"[A-Z0-9]{1,15}/[A-Z0-9]{1,15}")
_OPTION: Final = re.compile(r"([A-Z0-9.]{1,6})([0-9]{2})([0-9]{2})([0-9]{2})([CP])([0-9]{8})")


class Contract(Value, frozen=True, kw_only=True):
    """An option contract as its symbol names it. `strike` is exact, per unit of the underlying."""

    root: str
    expiry: date
    is_call: bool
    strike: Decimal


@lru_cache(maxsize=4096)
def contract(symbol: str) -> Contract | None:
    """Read a compact option symbol; None when it is none, or names no day of the calendar."""
    found = _OPTION.fullmatch(symbol)
    if found is None:
        return None
    root, year, month, day, right, strike = found.groups()
    try:
        expiry = date(2000 + int(year), int(month), int(day))
    except ValueError:
        return None
    return Contract(root=root, expiry=expiry, is_call=right == "C", strike=Decimal(strike).scaleb(-3))


@lru_cache(maxsize=4096)
def is_canonical(symbol: str) -> bool:
    """Whether the symbol is spelled canonically: a share, a pair, or an option with a real expiry and strike."""
    if len(symbol) > MAX_SYMBOL:
        return False
    if _SHARE.fullmatch(symbol) or _PAIR.fullmatch(symbol):
        return True
    option = contract(symbol)
    return option is not None and option.strike > 0
