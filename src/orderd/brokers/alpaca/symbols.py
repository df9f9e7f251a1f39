"""Symbols: canonical inside, Alpaca's spelling outside.

Canonical is a dot for share classes (BRK.B), a slash for crypto pairs (BTC/USD) and the compact OCC form for options
(AAPL241213C00250000). Alpaca writes the same three, except that positions, and orders before 2023, show crypto pairs
without the slash (reference: positions, order samples of 2022).
"""

import re

from orderd.core.order import AssetClass

_QUOTES = ("USDT", "USDC", "USD", "BTC", "ETH", "EUR")
"""Quote currencies of Alpaca's pairs, longest first where one ends in another."""
_SHAPES = {
    AssetClass.US_EQUITY: re.compile(r"[A-Z0-9]+(?:\.[A-Z0-9]+)*", re.ASCII),
    AssetClass.US_OPTION: re.compile(r"[A-Z0-9.]{1,6}\d{6}[CP]\d{8}", re.ASCII),
    AssetClass.CRYPTO: re.compile(r"[A-Z0-9]+/[A-Z0-9]+", re.ASCII),
}


def canonical(symbol: str, asset_class: AssetClass | None) -> str:
    """Return our spelling of Alpaca's symbol."""
    if asset_class is not AssetClass.CRYPTO or "/" in symbol:
        return symbol
    for quote in _QUOTES:
        if symbol.endswith(quote) and len(symbol) > len(quote):
            return f"{symbol[: -len(quote)]}/{quote}"
    return symbol


def to_alpaca(symbol: str) -> str:
    """Return Alpaca's spelling of our symbol, as its order requests want it."""
    return symbol.replace(" ", "")


def is_spelled(symbol: str, asset_class: AssetClass) -> bool:
    """Whether the symbol is canonical for its asset class."""
    return _SHAPES[asset_class].fullmatch(symbol) is not None
