"""What a corporate action or its option's end makes of a trade. Pure.

Rule 1: what has executed before a split counts in the new units (`trade.filled`), and the stop's price, when it was
said before it, is restated: rounded to a tick toward the market.
Rule 2: an option that ends closes what is held of it at 0; each activity counts once.
"""

from datetime import datetime
from decimal import Decimal

import msgspec

from orderd.core.activities import ActivityKind
from orderd.core.adjustments import Adjustment, Split
from orderd.core.trade import ExitReason, Trade
from orderd.core.trade_life import TradeEvent, TradeStep, step
from orderd.core.trade_moves import rounded_toward_market
from orderd.core.values import ZERO, Reason, add, canonical, divide, multiply, subtract


def restated_price(price: Decimal, split: Split) -> Decimal:
    """A price in the units after a split, half-even at 18 places."""
    return divide(multiply(price, split.old), split.new)


def is_news(trade: Trade, split: Split) -> bool:
    """Whether a trade is older than a split, and does not know it."""
    return trade.created_time < split.at and split.split_id not in {each.split_id for each in trade.splits}


def split_taken(trade: Trade, split: Split, *, tick: Decimal | None, at: datetime) -> TradeStep | None:
    """Return the trade in the units after a split; None when it began after it, or knows it already.

    `tick`: the price increment at the restated stop.
    """
    if not is_news(trade, split):
        return None
    price = trade.stop_price
    if (trade.stop_time or trade.created_time) < split.at:
        price = restated_price(price, split)
        if tick is not None:
            price = rounded_toward_market(msgspec.structs.replace(trade, stop_price=price), tick)
    closing = trade.closing
    if closing is not None:
        target = divide(multiply(closing.target, split.new), split.old)
        closing = msgspec.structs.replace(closing, target=target)
    text = (
        f"a split, {canonical(split.new)} for {canonical(split.old)}: the stop was at {canonical(trade.stop_price)},"
        f" it is to be at {canonical(price)}"
    )
    return step(
        trade,
        TradeEvent.TRADE_ADJUSTED,
        at,
        splits=tuple(sorted((*trade.splits, split), key=lambda each: each.key)),
        stop_price=price,
        closing=closing,
        # What had gone away is counted anew: it was counted in units that nobody can tell.
        closed_outside=ZERO,
        reason=Reason(code=ActivityKind.SPLIT, message=text),
    )


def end_taken(trade: Trade, ended: Adjustment, quantity: Decimal, *, at: datetime) -> TradeStep:
    """Return the trade with so much of it closed at 0 by its option's end."""
    left = subtract(trade.open_quantity, quantity)
    text = f"{canonical(quantity)} closed at 0: the option was {ended.kind.lower()}"
    return step(
        trade,
        TradeEvent.TRADE_ADJUSTED,
        at,
        ended=add(trade.ended, quantity),
        exit_reason=trade.exit_reason if left > 0 else ExitReason.EXPIRY,
        reason=Reason(code=ended.kind, message=text),
    )
