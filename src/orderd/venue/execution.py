"""One trade: into the order, the account and the ledger, and out as an event. Busts and corrections too."""

from decimal import Decimal

import msgspec

from orderd.venue.fees import fee_of
from orderd.venue.money import ONE, ZERO
from orderd.venue.orders import (
    TERMINAL,
    Event,
    EventKind,
    Execution,
    ExecutionState,
    Order,
    OrderClass,
    Side,
    Status,
)
from orderd.venue.state import State

# A partial fill does not undo a request that is on its way (the more advanced status is shown).
KEPT_STATUSES = TERMINAL | {Status.PENDING_CANCEL, Status.PENDING_REPLACE}


def execute(state: State, order: Order, quantity: Decimal, price: Decimal) -> Order:
    """Trade that much of an order. Nothing is checked: an overfill and a late fill are made this way too."""
    if order.order_class is OrderClass.MLEG and order.leg_ids:
        return _execute_strategy(state, order, quantity, price)
    order = _filled(state, order, quantity, price)
    execution = _record(state, order, quantity, price)
    state.put(order)
    kind = EventKind.FILL if not order.leaves else EventKind.PARTIAL_FILL
    state.tell(kind, order, execution=execution)
    return order


def _filled(state: State, order: Order, quantity: Decimal, price: Decimal) -> Order:
    order = msgspec.structs.replace(
        order,
        filled_quantity=order.filled_quantity + quantity,
        filled_value=order.filled_value + quantity * price,
        filled_at=state.now,
    )
    if order.status in TERMINAL:
        return order
    if not order.leaves:
        return msgspec.structs.replace(order, status=Status.FILLED)
    status = order.status if order.status in KEPT_STATUSES else Status.PARTIALLY_FILLED
    return msgspec.structs.replace(order, status=status)


def _record(state: State, order: Order, quantity: Decimal, price: Decimal) -> Execution:
    asset = state.asset(order.symbol)
    execution = Execution(
        execution_id=state.new_id(),
        account_id=order.account_id,
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        symbol=order.symbol,
        side=order.side or Side.BUY,
        quantity=quantity,
        price=price,
        multiplier=asset.multiplier,
        at=state.now,
        cumulative=order.filled_quantity,
        leaves=order.leaves,
        order_status=order.status,
    )
    account = state.accounts[order.account_id]
    account.book(execution)
    if state.settings.has_fees:
        account.accrued_fees += fee_of(execution)
    state.ledger.execute(execution)
    return execution


def _execute_strategy(state: State, parent: Order, quantity: Decimal, net: Decimal) -> Order:
    """Trade so many strategies: every leg at its touch, the parent at the net of them."""
    made: list[Execution] = []
    for leg in state.book.legs(parent):
        units = quantity * (leg.ratio or ONE)
        filled = _filled(state, leg, units, state.quote(leg.symbol).touch(leg.side or Side.BUY))
        state.put(filled)
        made.append(_record(state, filled, units, state.quote(leg.symbol).touch(leg.side or Side.BUY)))
    parent = _filled(state, parent, quantity, net)
    state.put(parent)
    kind = EventKind.FILL if not parent.leaves else EventKind.PARTIAL_FILL
    state.tell(kind, parent, leg_executions=tuple(made), traded=(quantity, net))
    return parent


def bust(state: State, execution_id: str) -> Event:
    """Take a trade back: cash, position and the order's totals. The order keeps its status.

    Raises LookupError for an execution that is not live.
    """
    execution = _live(state, execution_id)
    order = _taken_back(state, execution, ExecutionState.BUSTED)
    state.put(order)
    undone = msgspec.structs.replace(
        execution,
        execution_id=state.new_id(),
        state=ExecutionState.BUSTED,
        previous_execution_id=execution_id,
        cumulative=order.filled_quantity,
        leaves=order.leaves,
    )
    return state.tell(EventKind.TRADE_BUST, order, execution=undone, previous_execution_id=execution_id)


def correct(state: State, execution_id: str, quantity: Decimal, price: Decimal) -> Event:
    """Replace a trade by another one with a new id. Raises LookupError for an execution that is not live."""
    execution = _live(state, execution_id)
    order = _taken_back(state, execution, ExecutionState.CORRECTED)
    order = msgspec.structs.replace(
        order,
        filled_quantity=order.filled_quantity + quantity,
        filled_value=order.filled_value + quantity * price,
    )
    corrected = msgspec.structs.replace(
        execution,
        execution_id=state.new_id(),
        previous_execution_id=execution_id,
        quantity=quantity,
        price=price,
        at=state.now,
        cumulative=order.filled_quantity,
        leaves=order.leaves,
    )
    state.accounts[order.account_id].book(corrected)
    state.ledger.execute(corrected)
    state.put(order)
    _tell_heirs(state, order, quantity, quantity * price)
    return state.tell(EventKind.TRADE_CORRECT, order, execution=corrected, previous_execution_id=execution_id)


def _live(state: State, execution_id: str) -> Execution:
    execution = state.ledger.executions.get(execution_id)
    if execution is None or execution.state is not ExecutionState.LIVE:
        raise LookupError(f"no live execution {execution_id}")
    if state.book.get(execution.order_id) is None:
        raise LookupError(f"the order of execution {execution_id} is gone")
    return execution


def _taken_back(state: State, execution: Execution, fate: ExecutionState) -> Order:
    account = state.accounts[execution.account_id]
    state.ledger.execute(account.unbook(execution, fate))
    order = state.book.must(execution.order_id)
    filled = order.filled_quantity - execution.quantity
    order = msgspec.structs.replace(
        order,
        filled_quantity=filled,
        filled_value=order.filled_value - execution.quantity * execution.price,
        filled_at=order.filled_at if filled else None,
    )
    _tell_heirs(state, order, -execution.quantity, -execution.quantity * execution.price)
    return _emptied(order)


def _emptied(order: Order) -> Order:
    if order.is_open and order.status is Status.PARTIALLY_FILLED and order.filled_quantity == ZERO:
        return msgspec.structs.replace(order, status=Status.NEW)
    return order


def _tell_heirs(state: State, order: Order, quantity: Decimal, value: Decimal) -> None:
    """What a successor took over from its elders changes with them."""
    while order.replaced_by:
        order = state.book.must(order.replaced_by)
        if state.settings.carries_fills:
            changes = {"filled_quantity": order.filled_quantity + quantity, "filled_value": order.filled_value + value}
        else:
            changes = {"base_quantity": order.base_quantity + quantity}
        order = state.put(_emptied(msgspec.structs.replace(order, **changes)))
