"""Alpaca's word about an instrument: GET /v2/assets/{symbol} (reference, chapters on endpoints and objects)."""

from decimal import Decimal
from typing import Final
from urllib.parse import quote

from orderd.brokers.alpaca import errors, words
from orderd.brokers.alpaca.client import Request, Response
from orderd.brokers.alpaca.fields import Json, ParseError, as_list, as_object, decode, number, required, said_flag, text
from orderd.brokers.alpaca.symbols import canonical, to_alpaca
from orderd.core.assets import WHOLE, Asset
from orderd.core.order import AssetClass
from orderd.ports import AssetOutcome, CannotTell, NoAsset

_OK: Final = 200
_FRACTION: Final = Decimal("1e-9")
"""A quantity of a fractionable equity has at most nine decimals (reference, chapter on requests)."""


def request(symbol: str) -> Request:
    """Ask for one instrument; a pair's slash is encoded."""
    return Request(method="GET", path=f"/v2/assets/{quote(to_alpaca(symbol), safe='')}")


def outcome(symbol: str, response: Response) -> AssetOutcome:
    """Say what an answer means. Only a 404 in Alpaca's own words says that there is no such instrument."""
    if response.status != _OK:
        return NoAsset() if errors.is_no_asset(response) else CannotTell(message=f"HTTP {response.status}")
    try:
        found = parse(response.body)
    except ParseError as error:
        return CannotTell(message=f"unreadable answer: {error}")
    return found if found.symbol == symbol else CannotTell(message=f"the answer is about {found.symbol}")


def parse(body: bytes) -> Asset:
    """Read an asset. Raises ParseError."""
    row = as_object(decode(body), "asset")
    asset_class = words.ASSET_CLASSES.get(text(row, "class"))
    is_fractionable = said_flag(row, "fractionable")
    step = _positive(row, "min_trade_increment")
    if step is None and asset_class is AssetClass.US_EQUITY and is_fractionable is not None:
        step = _FRACTION if is_fractionable else WHOLE
    return Asset(
        symbol=canonical(required(row, "symbol"), asset_class),
        asset_class=asset_class,
        is_tradable=False if text(row, "status") == "inactive" else said_flag(row, "tradable"),
        is_shortable=said_flag(row, "shortable"),
        is_fractionable=is_fractionable,
        quantity_step=step,
        minimum_quantity=_positive(row, "min_order_size"),
        price_step=_positive(row, "price_increment"),
        splits_outside_session=_splits_outside_session(row),
    )


def _splits_outside_session(row: Json) -> bool | None:
    """Return whether fractions are traded in extended hours, which needs an attribute of its own."""
    attributes = row.get("attributes")
    if attributes is None:
        return None
    listed = as_list(attributes, "attributes")
    if not all(isinstance(each, str) for each in listed):
        raise ParseError("attributes are not texts")
    return "fractional_eh_enabled" in listed


def _positive(row: Json, key: str) -> Decimal | None:
    value = number(row, key)
    if value is not None and value <= 0:
        raise ParseError(f"{key} is not positive")
    return value
