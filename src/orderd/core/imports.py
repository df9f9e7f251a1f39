"""Orders that this journal never had, as their broker tells them: other people's, and ours whose record was lost."""

import re
from datetime import datetime
from decimal import Decimal

from orderd.core.facts import View
from orderd.core.keys import leg_key
from orderd.core.order import (
    ENDED,
    AssetClass,
    BrokerLink,
    EventSource,
    LegIntent,
    Mode,
    Order,
    OrderClass,
    OrderIntent,
    OrderRole,
    OrderState,
    OrderType,
    Phase,
    Terms,
    TimeInForce,
)
from orderd.core.values import AccountId, ClientOrderId, OrderId

_NOT_TOLD = Terms(type=OrderType.MARKET, time_in_force=TimeInForce.DAY)

_ENDED_EMPTY = {
    Phase.CANCELED: OrderState.CANCELED,
    Phase.EXPIRED: OrderState.EXPIRED,
    Phase.REJECTED: OrderState.REJECTED,
}


def external_order(  # noqa: PLR0913 - an order is known by all of these
    view: View,
    *,
    order_id: OrderId,
    account_id: AccountId,
    broker: str,
    mode: Mode,
    at: datetime,
    parent: Order | None = None,
    leg_number: int = 0,
    leg_order_ids: tuple[OrderId, ...] = (),
    key: ClientOrderId | None = None,
) -> Order:
    """The order to hand to `lifecycle.imported`: no fills yet, those come as facts and end it where they must.

    With a `key` it is one of ours: the key is taken, and a submit that repeats it is answered with this order.

    For the legs of a MULTILEG, bracket, OCO or OTO order call it once more for each leg's view, with the `parent` that
    was built with their `leg_order_ids`. A replaced one stays REPLACED until its successor shows up.
    """
    state = _state(view)
    return Order(
        order_id=order_id,
        intent=OrderIntent(
            account_id=account_id,
            client_order_id=key or ClientOrderId(""),
            symbol=view.symbol,
            side=view.side,
            terms=view.terms or _NOT_TOLD,
            order_class=_class(view),
            position_intent=view.position_intent,
            legs=_legs(view),
            role=None if key is None or parent is None else _role(view, parent),
        ),
        terms=view.terms or _NOT_TOLD,
        state=state,
        broker=broker,
        mode=mode,
        asset_class=view.asset_class or AssetClass.US_EQUITY,
        created_time=view.created_time or view.submitted_time or view.filled_time or at,
        updated_time=at,
        links=(_link(view),),
        broker_status=view.status,
        submitted_time=view.submitted_time,
        expires_time=view.expires_time,
        closed_time=view.ended_time or at if state in ENDED else None,
        closed_by=EventSource.IMPORT if state in ENDED else None,
        is_external=key is None,
        broker_client_reference=view.client_order_id if key is None else "",
        is_taken_up=key is not None,
        parent_order_id=None if parent is None else parent.order_id,
        leg_number=leg_number,
        leg_order_ids=leg_order_ids,
    )


_KEY = re.compile(r"(?!r-[a-z2-7]{26}$)[A-Za-z0-9-]{1,128}", re.ASCII)
"""What a key may be; a replacement's own id (keys.replace_key) is none."""


def lost_key(view: View, parent: Order | None, leg_number: int, account_id: AccountId) -> ClientOrderId | None:
    """The key under which an order was submitted whose record was lost; None when it cannot have been one of ours.

    Legs are named by their broker; ours follow from their parent's key.
    """
    if parent is not None:
        return leg_key(parent.intent.client_order_id, account_id, leg_number) if parent.is_taken_up else None
    return ClientOrderId(view.client_order_id) if _KEY.fullmatch(view.client_order_id) else None


def _role(view: View, parent: Order) -> OrderRole | None:
    """What a leg of a bracket, OCO or OTO order is for."""
    if parent.intent.order_class is OrderClass.MULTILEG or view.terms is None:
        return None
    return OrderRole.TAKE_PROFIT if view.terms.type is OrderType.LIMIT else OrderRole.STOP_LOSS


def _link(view: View) -> BrokerLink:
    return BrokerLink(
        broker_order_id=view.broker_order_id,
        client_order_id=view.client_order_id,
        status=view.status,
        phase=view.phase,
        updated_ns=view.updated_ns,
        reported_quantity=view.filled_quantity,
        reported_average=view.average_price,
    )


def _state(view: View) -> OrderState:
    """Ended only when no execution is to come; everything else ends when its executions were booked."""
    if view.phase is Phase.REPLACED:
        return OrderState.REPLACED
    if view.phase is Phase.QUEUED:
        return OrderState.SUBMITTED
    if not view.filled_quantity and view.phase in _ENDED_EMPTY:
        return _ENDED_EMPTY[view.phase]
    return OrderState.ACCEPTED


def _class(view: View) -> OrderClass:
    word = view.order_class.upper()
    if word in {"MLEG", "MULTILEG", "COMBO"}:
        return OrderClass.MULTILEG
    return OrderClass(word) if word in set(OrderClass) else OrderClass.SIMPLE


def _legs(view: View) -> tuple[LegIntent, ...]:
    if _class(view) is not OrderClass.MULTILEG:
        return ()
    return tuple(
        LegIntent(symbol=leg.symbol, ratio=leg.ratio or Decimal(1), side=leg.side, position_intent=leg.position_intent)
        for leg in view.legs
        if leg.side is not None
    )
