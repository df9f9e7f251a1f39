"""Requests about positions."""

from oms.v1 import position_service_pb2 as pb
from orderd.core.values import Value
from orderd.wire.asks import Invalid
from orderd.wire.fields import Fields
from orderd.wire.symbols import MAX_SYMBOL


class PositionsAsk(Value, frozen=True, kw_only=True):
    """Which positions."""

    account_ids: tuple[str, ...]
    symbols: tuple[str, ...]
    underlyings: tuple[str, ...]
    expires_on_or_after: str
    expires_on_or_before: str
    strategies: tuple[str, ...]
    has_closed: bool
    page_size: int

    def is_about(self, symbol: str, underlying: str, expiry_date: str) -> bool:
        """Whether a position of this symbol is among them, as far as its symbol says."""
        return (
            (not self.symbols or symbol in self.symbols)
            and (not self.underlyings or underlying in self.underlyings)
            and (not self.expires_on_or_after or expiry_date >= self.expires_on_or_after)
            and (not self.expires_on_or_before or "" < expiry_date <= self.expires_on_or_before)
        )


class PositionAsk(Value, frozen=True, kw_only=True):
    """Which position; the account perhaps empty."""

    account_id: str
    symbol: str


def positions_ask(request: pb.ListPositionsRequest) -> PositionsAsk | Invalid:
    """Check the filters of a list of positions."""
    fields = Fields()
    ask = PositionsAsk(
        account_ids=fields.several("account_ids", request.account_ids),
        symbols=fields.several("symbols", request.symbols, MAX_SYMBOL),
        underlyings=fields.several("underlyings", request.underlyings, MAX_SYMBOL),
        expires_on_or_after=fields.day("expires_on_or_after", request.expires_on_or_after),
        expires_on_or_before=fields.day("expires_on_or_before", request.expires_on_or_before),
        strategies=fields.several("strategies", request.strategies),
        has_closed=request.include_closed,
        page_size=fields.page_size(request.page_size),
    )
    first, last = ask.expires_on_or_after, ask.expires_on_or_before
    if first and last and first > last:
        fields.refuse("expires_on_or_before", "must not be before expires_on_or_after")
    return fields.invalid() if fields.violations else ask


def position_ask(request: pb.GetPositionRequest) -> PositionAsk | Invalid:
    """Check which position is asked for."""
    fields = Fields()
    ask = PositionAsk(
        account_id=fields.text("account_id", request.account_id),
        symbol=fields.needed("symbol", request.symbol, MAX_SYMBOL),
    )
    return fields.invalid() if fields.violations else ask
