"""What a canonical symbol says of the instrument: dot share classes, slash crypto, compact options."""

from decimal import Decimal
from functools import lru_cache
from typing import Final

from orderd.core.order import AssetClass, OrderIntent

OPTION_LENGTH: Final = 15
"""Length of the date, right and strike of a compact option symbol; what is before it is the root."""
SYMBOLS_KEPT: Final = 4096
"""An account trades the same few symbols again and again."""
_ONE, _HUNDRED = Decimal(1), Decimal(100)


def asset_class_of(intent: OrderIntent) -> AssetClass:
    """By the canonical symbol: a slash is crypto, a date and strike an option."""
    return asset_class_of_symbol(intent.symbol or (intent.legs[0].symbol if intent.legs else ""))


@lru_cache(maxsize=SYMBOLS_KEPT)
def asset_class_of_symbol(symbol: str) -> AssetClass:
    """Of a canonical symbol."""
    if "/" in symbol:
        return AssetClass.CRYPTO
    return AssetClass.US_OPTION if underlying_of(symbol) else AssetClass.US_EQUITY


@lru_cache(maxsize=SYMBOLS_KEPT)
def underlying_of(symbol: str) -> str:
    """The root of a compact option symbol, empty for anything else."""
    root, rest = symbol[:-OPTION_LENGTH], symbol[-OPTION_LENGTH:]
    is_option = bool(root) and rest[:6].isdigit() and rest[6:7] in {"C", "P"} and rest[7:].isdigit()
    return root if is_option else ""


def multiplier_of(intent: OrderIntent) -> Decimal:
    """Units per contract: 100 for standard options, 1 for everything else."""
    return _HUNDRED if asset_class_of(intent) is AssetClass.US_OPTION else _ONE


def known_multiplier(intent: OrderIntent) -> Decimal | None:
    """Units per contract, None where they are not known: an adjusted option, whose root has a digit.

    After a split or merger a contract delivers something else, and only the broker's contract data say what.
    """
    symbols = [leg.symbol for leg in intent.legs] or [intent.symbol]
    if any(multiplier_of_symbol(symbol) is None for symbol in symbols):
        return None
    return multiplier_of(intent)


def multiplier_of_symbol(symbol: str) -> Decimal | None:
    """Units per contract of a canonical symbol, None where they are not known, as `known_multiplier` says."""
    if any(letter.isdigit() for letter in underlying_of(symbol)):
        return None
    return _HUNDRED if asset_class_of_symbol(symbol) is AssetClass.US_OPTION else _ONE
