"""A request put together with the market and the position it meets: what every check looks at."""

from decimal import Decimal
from typing import Final

import msgspec

from orderd.venue import matching
from orderd.venue.accounts import Account, intent_of
from orderd.venue.assets import Asset
from orderd.venue.money import ZERO, is_whole
from orderd.venue.orders import AssetClass, NewOrder, PositionIntent, Reason, Refused, Side
from orderd.venue.quotes import Quote
from orderd.venue.sessions import Phase
from orderd.venue.state import State

SHORT_RESERVE: Final = Decimal("1.03")


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """A request with everything that judging it needs."""

    state: State
    account: Account
    new: NewOrder
    asset: Asset
    quote: Quote
    side: Side
    intent: PositionIntent
    basis: Decimal
    """Price that the cost is reckoned with, dollars a unit."""

    @property
    def quantity(self) -> Decimal:
        """Units asked for; a notional request's are those its dollars buy."""
        if self.new.quantity is not None:
            return self.new.quantity
        return (self.new.notional or ZERO) / self.basis if self.basis else ZERO

    @property
    def is_fractional(self) -> bool:
        """Whether it needs a fractionable asset."""
        return self.new.notional is not None or not is_whole(self.quantity)


def invalid(message: str) -> Refused:
    """A request that is wrong in itself."""
    return Refused(reason=Reason.INVALID, message=message)


def ask_of(state: State, account: Account, new: NewOrder, asset: Asset) -> Ask:
    """Put a single-symbol request together with the market and the position it meets."""
    side = new.side or Side.BUY
    quote = state.quotes.open(asset)
    implied = intent_of(account.held(asset.symbol), side)
    intent = new.position_intent or implied if asset.asset_class is AssetClass.OPTION else implied
    return Ask(
        state=state,
        account=account,
        new=new,
        asset=asset,
        quote=quote,
        side=side,
        intent=intent,
        basis=_basis(state, new, side, quote),
    )


def _basis(state: State, new: NewOrder, side: Side, quote: Quote) -> Decimal:
    """The price that buying power is reckoned with (reference, section 13)."""
    if side is Side.SELL:
        return max(new.limit_price or ZERO, quote.ask * SHORT_RESERVE)
    if new.limit_price is not None:
        return new.limit_price
    if new.stop_price is not None:
        return matching.cap_of(new.stop_price)
    match state.phase():
        case Phase.REGULAR:
            return quote.touch(side) or quote.last
        case Phase.EXTENDED:
            return quote.middle
        case Phase.CLOSED:
            return quote.last
