"""What a protective stop needs to know of Alpaca: its ticks, and what its refusals mean for a stop.

Source: the reference's chapters on error bodies and on prices.
"""

import re
from decimal import Decimal

from orderd.core.order import AssetClass
from orderd.core.trade_steps import Refused
from orderd.core.values import Reason

_DOLLAR = Decimal(1)
_CENT = Decimal("0.01")
_BELOW_A_DOLLAR = Decimal("0.0001")
_NEVER_ARRIVED = frozenset({"NOT_SENT", "NOT_PLACED", "STALE"})
"""The lifecycle's own words for a stop that is proven not to be at the broker."""
_SORTS: tuple[tuple[str, Refused], ...] = (
    (r"insufficient qty available|insufficient balance", Refused.FOR_NOW),
    (r"fractional orders (cannot be sold short|are not allowed to short)", Refused.FOR_NOW),
    (r"potential wash trade|rate limit|too many requests", Refused.FOR_NOW),
    (r"cannot open a (long buy|short sell) while", Refused.FOR_NOW),
    (r"stop price must be (less|greater) than|stop_loss\.stop_price must be", Refused.THROUGH_MARKET),
    (r"sub-penny increment|SUB_PENNY", Refused.PRICE_INCREMENT),
)
"""By Alpaca's own texts, and by ours: sub-penny prices are refused here before they are sent. A part of a share that
would be sold short is not held there, or not yet: the same as too little of it.
"""


def price_increment(asset_class: AssetClass, price: Decimal) -> Decimal | None:
    """Return the tick of an equity: a cent from one dollar on, a hundredth of it below. None for anything else."""
    if asset_class is not AssetClass.US_EQUITY:
        return None
    return _CENT if price >= _DOLLAR else _BELOW_A_DOLLAR


def sort_refusal(reason: Reason) -> Refused:
    """Return why a stop was not taken; a text that is not known is for good, so that nothing waits for it."""
    if reason.code in _NEVER_ARRIVED:
        return Refused.FOR_NOW
    return next((sort for pattern, sort in _SORTS if re.search(pattern, reason.message)), Refused.FOR_GOOD)
