"""Why a request would be refused, in the order in which the reasons are looked for. Changes nothing.

A venue that is kinder than the broker proves nothing.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from orderd.venue import form, means
from orderd.venue.accounts import Account
from orderd.venue.asking import Ask
from orderd.venue.dialect import DuplicateIds
from orderd.venue.money import ONE, ZERO
from orderd.venue.orders import CLOSING, AssetClass, Reason, Refused, Side
from orderd.venue.state import State

LONGEST_CLIENT_ID: Final = 128


def client_id(state: State, account: Account, client_order_id: str) -> Refused | None:
    """A client's id is at most 128 characters and used once, for ever (reference, section 10)."""
    if len(client_order_id) > LONGEST_CLIENT_ID:
        return Refused(reason=Reason.CLIENT_ORDER_ID_TOO_LONG)
    other = state.book.by_client_id(account.account_id, client_order_id) if client_order_id else None
    if other is None:
        return None
    refusal = state.settings.duplicate_ids
    is_taken = refusal == DuplicateIds.FOR_EVER or (refusal == DuplicateIds.WHILE_OPEN and other.is_open)
    return Refused(reason=Reason.CLIENT_ORDER_ID_TAKEN) if is_taken else None


def new_order(ask: Ask) -> Refused | None:
    """The first reason against a single-symbol order, or None."""
    return next((refused for check in CHECKS if (refused := check(ask)) is not None), None)


CHECKS: Final[tuple[Callable[[Ask], Refused | None], ...]] = (
    form.account,
    form.asset,
    form.amount,
    form.kind,
    form.fraction,
    form.prices,
    form.hours,
    form.order_class,
    form.stop_side,
    means.wash,
    means.opposite,
    means.units,
    means.money,
)


def reserve_price(ask: Ask) -> Decimal:
    """Buying power a unit of this order holds while it is open; closing orders hold none."""
    if ask.intent in CLOSING or (ask.side is Side.SELL and ask.asset.asset_class is AssetClass.OPTION):
        return ZERO
    return ask.basis * (ask.asset.multiplier or ONE)
