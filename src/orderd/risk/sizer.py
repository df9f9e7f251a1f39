"""How much to buy or sell, so that a stop that trades costs no more than the account may lose on one trade.

Rule 1: pure and exact: quantities are floored to whole steps, nothing else is ever rounded.
Rule 2: a size of zero always says why; a missing or senseless input is a zero, never a guess.
"""

from decimal import Decimal
from typing import Final

from orderd.core.order import EventSource, Side
from orderd.core.sizing import Setup, Sizing
from orderd.core.values import EXACT, ZERO, Reason, canonical, multiply, subtract
from orderd.risk.limits import PRICE_UNAVAILABLE, Limits, usable

DEFAULT_RISK_PERCENT: Final = Decimal(1)
_HUNDREDTH: Final = Decimal("0.01")

RISK: Final = "RISK"
MAX_POSITION: Final = "MAX_POSITION"
BUYING_POWER: Final = "BUYING_POWER"


def size(setup: Setup, limits: Limits) -> Sizing:
    """floor(min(equity x risk %, cap) / (|entry - stop| x multiplier) / step) x step, clamped by what there is."""
    inputs = (setup.entry, setup.stop, setup.multiplier, setup.step, setup.equity, setup.buying_power)
    entry, stop, multiplier, step, equity, power = (usable(value) for value in inputs)
    if entry is None or stop is None or multiplier is None or step is None or equity is None or power is None:
        return _none(setup, PRICE_UNAVAILABLE, f"not known: {', '.join(_missing(setup))}")
    if complaint := _prices(setup.side, entry, stop):
        return Sizing(setup=setup, reason=complaint)
    if multiplier <= 0 or step <= 0:
        return _none(setup, "STEP_NOT_POSITIVE", "the multiplier and the step of a quantity must be positive")
    risk, distance, unit = _risk(equity, limits), abs(subtract(entry, stop)), multiply(entry, multiplier)
    bounds = [(_floor(risk, multiply(distance, multiplier), step), RISK)]
    if limits.max_position_percent is not None:
        bounds.append((_floor(_share(equity, limits.max_position_percent), unit, step), MAX_POSITION))
    bounds.append((_floor(power, unit, step), BUYING_POWER))
    quantity, bound_by = min(bounds, key=lambda bound: bound[0])
    if reason := _too_little(setup, quantity, step, bound_by):
        quantity, bound_by = ZERO, ""
    return Sizing(
        setup=setup,
        quantity=quantity,
        risk_amount=risk,
        risk_per_unit=distance,
        bound_by=bound_by,
        notional=multiply(quantity, unit),
        reason=reason,
    )


def _too_little(setup: Setup, quantity: Decimal, step: Decimal, bound_by: str) -> Reason | None:
    """Why so little is nothing."""
    least = usable(setup.minimum)
    if quantity <= 0:
        return _why("BELOW_STEP", f"{bound_by} allows less than one step of {canonical(step)}")
    if least is not None and quantity < least:
        return _why(
            "BELOW_MINIMUM",
            f"{bound_by} allows {canonical(quantity)}, the broker takes no less than {canonical(least)}",
        )
    return None


def _risk(equity: Decimal, limits: Limits) -> Decimal:
    """Money that may be lost on one trade."""
    risk = _share(equity, DEFAULT_RISK_PERCENT if limits.risk_percent is None else limits.risk_percent)
    return risk if limits.risk_cap is None else min(risk, limits.risk_cap)


def _share(money: Decimal, percent: Decimal) -> Decimal:
    return multiply(multiply(money, percent), _HUNDREDTH)


def _floor(money: Decimal, cost: Decimal, step: Decimal) -> Decimal:
    """The most whole steps that this money pays for, zero when it is none or a debt."""
    if money <= 0:
        return ZERO
    return multiply(EXACT.divide_int(money, multiply(cost, step)), step)


def _prices(side: Side, entry: Decimal, stop: Decimal) -> Reason | None:
    if entry <= 0:
        return _why("ENTRY_NOT_POSITIVE", f"the entry price {canonical(entry)} is not positive")
    if stop <= 0:
        return _why("STOP_NOT_POSITIVE", f"the stop price {canonical(stop)} is not positive")
    if entry == stop:
        return _why("ZERO_DISTANCE", f"entry and stop are both {canonical(entry)}: there is no distance to size by")
    if (stop > entry) is (side is Side.BUY):
        where = "below" if side is Side.BUY else "above"
        text = f"the stop {canonical(stop)} must be {where} the entry {canonical(entry)}"
        return _why("STOP_WRONG_SIDE", text)
    return None


def _missing(setup: Setup) -> list[str]:
    named = {
        "entry price": setup.entry,
        "stop price": setup.stop,
        "multiplier": setup.multiplier,
        "step": setup.step,
        "equity": setup.equity,
        "buying power": setup.buying_power,
    }
    return [name for name, value in named.items() if usable(value) is None]


def _none(setup: Setup, code: str, message: str) -> Sizing:
    return Sizing(setup=setup, reason=_why(code, message))


def _why(code: str, message: str) -> Reason:
    return Reason(code=code, message=message, origin=EventSource.RISK)
