"""What a size is computed from, and what came of it. Computing it is the sizer's (`orderd.risk.sizer`)."""

from decimal import Decimal

from orderd.core.assets import WHOLE
from orderd.core.order import Side
from orderd.core.values import ZERO, Reason, Value


class Setup(Value, frozen=True, kw_only=True):
    """What is to be sized, and what the account has, as the broker shows it; None for what is not known.

    Prices per unit, `multiplier` units per contract, `step` the smallest change of a quantity, money in the account's
    currency.
    """

    side: Side
    entry: Decimal | None
    stop: Decimal | None
    equity: Decimal | None
    buying_power: Decimal | None
    multiplier: Decimal | None = Decimal(1)
    step: Decimal | None = WHOLE
    minimum: Decimal | None = None
    """The smallest quantity that the broker takes, None where it has none."""


class Sizing(Value, frozen=True, kw_only=True):
    """A quantity, and how it came about.

    `risk_amount`: money that may be lost on the trade; `risk_per_unit`: distance between entry and stop. `bound_by`:
    what kept it from being larger (RISK, MAX_POSITION, BUYING_POWER), empty for a quantity of zero, whose `reason`
    says why.
    """

    setup: Setup
    quantity: Decimal = ZERO
    risk_amount: Decimal | None = None
    risk_per_unit: Decimal | None = None
    bound_by: str = ""
    notional: Decimal = ZERO
    reason: Reason | None = None
