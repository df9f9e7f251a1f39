"""What a live account pays on shares (schedule of 2026-09-17; reference, section 13). Paper accounts pay nothing.

Fees of a day are summed, rounded up to the cent and booked as one FEE entry when the day closes.
"""

from decimal import ROUND_UP, Decimal
from typing import Final

from orderd.venue.accounts import Account, CashMovement
from orderd.venue.money import CENT, CONTEXT, ONE, ZERO
from orderd.venue.orders import Execution, Side
from orderd.venue.state import State

SEC_RATE: Final = Decimal("0.0000206")
"""Of the value of a sale."""
TAF_PER_SHARE: Final = Decimal("0.000195")
TAF_CAP: Final = Decimal("9.79")
CAT_PER_SHARE: Final = Decimal("0.000003")


def fee_of(execution: Execution) -> Decimal:
    """The fees of one execution, dollars, not rounded."""
    if execution.multiplier != ONE or "/" in execution.symbol:
        return ZERO
    fee = execution.quantity * CAT_PER_SHARE
    if execution.side is Side.SELL:
        fee += execution.quantity * execution.price * SEC_RATE
        fee += min(execution.quantity * TAF_PER_SHARE, TAF_CAP)
    return fee


def charge(state: State, account: Account) -> None:
    """Book the day's fees."""
    if not account.accrued_fees:
        return
    due = account.accrued_fees.quantize(CENT, rounding=ROUND_UP, context=CONTEXT)
    account.accrued_fees = ZERO
    account.move(
        CashMovement(
            movement_id=state.new_id(),
            kind="FEE",
            at=state.now,
            net_amount=-due,
            description="regulatory fees of the day",
        )
    )
