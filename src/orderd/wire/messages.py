"""Core values as `oms.v1` messages, and as the bytes that are stored and sent.

Rule 1: decimals leave in their canonical form, absent ones as an empty string.
Rule 2: the bytes are deterministic: the same order gives the same bytes in every process.
Rule 3: `sequence` may not be known yet when an order is built, so `order_bytes` leaves it out and `splice` appends it.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from oms.v1 import order_pb2 as pb
from orderd.core.events import FillBusted, FillCorrected, Filled, Step
from orderd.core.order import AssetClass, Fill, Order, OrderIntent, Terms
from orderd.core.values import Reason, canonical
from orderd.wire import enums, splice
from orderd.wire.symbols import contract

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY_S: Final = 86_400

# The tables themselves: an order looks up six of them, and every event builds an order.
_ASSET_CLASS: Final = enums.ASSET_CLASS.number
_EVENT_TYPE: Final = enums.EVENT_TYPE.number
_FILL_STATUS: Final = enums.FILL_STATUS.number
_MODE: Final = enums.MODE.number
_ORDER_CLASS: Final = enums.ORDER_CLASS.number
_POSITION_INTENT: Final = enums.POSITION_INTENT.number
_ROLE: Final = enums.ROLE.number
_SIDE: Final = enums.SIDE.number
_SOURCE: Final = enums.SOURCE.number
_STATUS: Final = enums.STATUS.number
_TIME_IN_FORCE: Final = enums.TIME_IN_FORCE.number
_TYPE: Final = enums.TYPE.number


def text_of(value: Decimal | None) -> str:
    """Return the wire form of a decimal: canonical, empty when absent."""
    return "" if value is None else canonical(value)


def set_time(field: Timestamp, value: datetime | None) -> None:
    """Write an aware datetime into a timestamp field in place, exact to the microsecond; None leaves it absent."""
    if value is None:
        return
    since = value - _EPOCH
    field.seconds = since.days * _DAY_S + since.seconds
    field.nanos = since.microseconds * 1000
    # A message whose numbers are all zero stays absent unless it is marked: 1970 itself is a time, too.
    field.SetInParent()


def reason_message(reason: Reason) -> pb.StatusReason:
    """Return a reason as a message; an origin that is no event source is left out."""
    return pb.StatusReason(
        code=reason.code,
        message=reason.message,
        source=enums.ORIGIN.get(reason.origin, pb.EVENT_SOURCE_UNSPECIFIED),
    )


def order_message(order: Order) -> pb.Order:
    """Return the order as a message, with its sequence when it has one."""
    message = _partial_order(order)
    message.sequence = order.sequence
    return message


def order_bytes(order: Order) -> bytes:
    """Return the bytes of the order without its sequence; `splice.with_sequence` completes them."""
    return _partial_order(order).SerializeToString(deterministic=True)


def complete_order_bytes(order: Order) -> bytes:
    """Return the bytes of a committed order, its own sequence included: those that are stored."""
    return splice.with_sequence(order_bytes(order), order.sequence)


def fill_message(order: Order, fill: Fill) -> pb.Fill:
    """Return one fill of the order as a message."""
    intent = order.intent
    message = pb.Fill(
        fill_id=fill.fill_id,
        order_id=order.order_id,
        account_id=intent.account_id,
        execution_id=fill.execution_id,
        symbol=intent.symbol,
        side=pb.SIDE_UNSPECIFIED if intent.side is None else _SIDE[intent.side],
        quantity=canonical(fill.quantity),
        price=canonical(fill.price),
        liquidity=fill.liquidity,
        fee=text_of(fill.fee),
        status=_FILL_STATUS[fill.status],
        source=_SOURCE[fill.source],
        trace_id=intent.trace_id,
        broker_order_id=fill.broker_order_id,
        decision_id=intent.decision_id,
        trade_id=intent.trade_id,
        strategy=intent.strategy,
    )
    set_time(message.occurred_time, fill.occurred_time)
    set_time(message.recorded_time, fill.recorded_time)
    return message


def fill_bytes(order: Order, fill: Fill) -> bytes:
    """Return the bytes of one fill of the order: those that are stored."""
    return fill_message(order, fill).SerializeToString(deterministic=True)


def event_message(step: Step, sequence: int) -> pb.OrderEvent:
    """Return the event as a message: the slow way, for whoever needs the message and not its bytes."""
    message = _partial_event(step)
    message.order.CopyFrom(_partial_order(step.after))
    message.order.sequence = sequence
    message.sequence = sequence
    return message


def event_bytes(step: Step, sequence: int, order: bytes) -> bytes:
    """Return the bytes of the event: those that are stored and streamed.

    `order` are the complete bytes of `step.after` (with `sequence` as its sequence): they are copied, not built again.
    """
    return splice.complete_event(partial_event_bytes(step), order, sequence)


def partial_event_bytes(step: Step) -> bytes:
    """Return the bytes of the event without its order and sequence; `splice.complete_event` completes them."""
    return _partial_event(step).SerializeToString(deterministic=True)


def _partial_order(order: Order) -> pb.Order:
    intent = order.intent
    links = order.links
    message = pb.Order(
        order_id=order.order_id,
        account_id=intent.account_id,
        client_order_id=intent.client_order_id,
        broker_order_id=order.broker_order_id or "",
        broker_order_ids=[link.broker_order_id for link in links] if links else None,
        decision_id=intent.decision_id,
        trace_id=intent.trace_id,
        trade_id=intent.trade_id,
        parent_order_id=order.parent_order_id or "",
        role=pb.ORDER_ROLE_UNSPECIFIED if intent.role is None else _ROLE[intent.role],
        strategy=intent.strategy,
        external=order.is_external,
        broker_client_reference=order.broker_client_reference,
        broker=order.broker,
        mode=_MODE[order.mode],
        symbol=intent.symbol,
        asset_class=_ASSET_CLASS[order.asset_class],
        side=pb.SIDE_UNSPECIFIED if intent.side is None else _SIDE[intent.side],
        extended_hours=order.terms.extended_hours,
        order_class=_ORDER_CLASS[intent.order_class],
        leg_number=order.leg_number,
        underlying=order.underlying,
        multiplier=canonical(order.multiplier),
        status=_STATUS[order.state],
        pending_cancel=order.pending_cancel,
        overfilled=order.is_overfilled,
        filled_quantity=canonical(order.filled_quantity),
        leaves_quantity=text_of(order.leaves_quantity),
        average_fill_price=text_of(order.average_fill_price),
        broker_status=order.broker_status,
        version=order.version,
        reference_price=text_of(intent.reference_price),
    )
    _add_terms(message, order.terms)
    _add_extras(message, intent)
    _add_state(message, order)
    _add_times(message, order)
    return message


def _add_terms(message: pb.Order, terms: Terms) -> None:
    message.type = _TYPE[terms.type]
    message.time_in_force = _TIME_IN_FORCE[terms.time_in_force]
    if terms.quantity is not None:
        message.quantity = canonical(terms.quantity)
    if terms.notional is not None:
        message.notional = canonical(terms.notional)
    if terms.limit_price is not None:
        message.limit_price = canonical(terms.limit_price)
    if terms.stop_price is not None:
        message.stop_price = canonical(terms.stop_price)
    if terms.trail_price is not None:
        message.trail_price = canonical(terms.trail_price)
    if terms.trail_percent is not None:
        message.trail_percent = canonical(terms.trail_percent)


def _add_extras(message: pb.Order, intent: OrderIntent) -> None:
    """What few orders have: tags, an intent for the position, attached orders."""
    if intent.tags:
        message.tags.update(dict(intent.tags))
    if intent.position_intent is not None:
        message.position_intent = _POSITION_INTENT[intent.position_intent]
    if intent.take_profit is not None:
        message.take_profit.limit_price = canonical(intent.take_profit)
    if intent.stop_loss is not None:
        message.stop_loss.stop_price = canonical(intent.stop_loss.stop_price)
        message.stop_loss.limit_price = text_of(intent.stop_loss.limit_price)


def _add_state(message: pb.Order, order: Order) -> None:
    """What few orders have and their life brings: legs, the contract, a reason, a replace under way."""
    if order.intent.legs:
        _add_legs(message, order)
    if order.asset_class is AssetClass.US_OPTION:
        _add_contract(message, order.intent.symbol)
    if order.reason is not None:
        message.status_reason.CopyFrom(reason_message(order.reason))
    if order.pending_replace is not None:
        message.pending_replace = True
        message.pending_replace_terms.CopyFrom(_replace_terms(order.pending_replace.terms))


def _add_legs(message: pb.Order, order: Order) -> None:
    for index, leg in enumerate(order.intent.legs):
        message.legs.add(
            symbol=leg.symbol,
            ratio=int(leg.ratio),
            side=_SIDE[leg.side],
            position_intent=pb.POSITION_INTENT_UNSPECIFIED
            if leg.position_intent is None
            else _POSITION_INTENT[leg.position_intent],
            order_id=order.leg_order_ids[index] if index < len(order.leg_order_ids) else "",
        )


def _add_contract(message: pb.Order, symbol: str) -> None:
    """A symbol that does not parse (an adjusted root of a history) has no contract on the wire."""
    option = contract(symbol)
    if option is None:
        return
    message.option.expiry_date = option.expiry.isoformat()
    message.option.strike = canonical(option.strike)
    message.option.right = pb.OPTION_RIGHT_CALL if option.is_call else pb.OPTION_RIGHT_PUT


def _replace_terms(terms: Terms) -> pb.ReplaceTerms:
    return pb.ReplaceTerms(
        quantity=text_of(terms.quantity),
        limit_price=text_of(terms.limit_price),
        stop_price=text_of(terms.stop_price),
        trail=text_of(terms.trail_price if terms.trail_price is not None else terms.trail_percent),
        time_in_force=_TIME_IN_FORCE[terms.time_in_force],
    )


def _add_times(message: pb.Order, order: Order) -> None:
    set_time(message.created_time, order.created_time)
    set_time(message.updated_time, order.updated_time)
    if order.submitted_time is not None:
        set_time(message.submitted_time, order.submitted_time)
    if order.accepted_time is not None:
        set_time(message.accepted_time, order.accepted_time)
    if order.closed_time is not None:
        set_time(message.closed_time, order.closed_time)
    if order.expires_time is not None:
        set_time(message.expires_time, order.expires_time)
    if order.intent.decided_time is not None:
        set_time(message.decided_time, order.intent.decided_time)
    if order.intent.valid_until_time is not None:
        set_time(message.valid_until_time, order.intent.valid_until_time)


def _partial_event(step: Step) -> pb.OrderEvent:
    event, order = step.event, step.after
    message = pb.OrderEvent(
        order_id=order.order_id,
        account_id=order.intent.account_id,
        version=order.version,
        type=_EVENT_TYPE[step.type],
        from_status=pb.ORDER_STATUS_UNSPECIFIED if step.before is None else _STATUS[step.before],
        to_status=_STATUS[order.state],
        source=_SOURCE[event.source],
        trace_id=order.intent.trace_id,
    )
    if event.reason is not None:
        message.reason.CopyFrom(reason_message(event.reason))
    set_time(message.recorded_time, event.at)
    set_time(message.broker_time, event.broker_time)
    changed = _changed_fills(step)
    if changed:
        message.fill.CopyFrom(fill_message(order, changed[0]))
    if len(changed) > 1:
        message.other_fills.extend(fill_message(order, fill) for fill in changed[1:])
    return message


def _changed_fills(step: Step) -> list[Fill]:
    """The fills that the event added or changed, as they are after it: the new ones first."""
    event = step.event
    if isinstance(event, Filled):
        return [] if event.fill is None else [event.fill]
    if isinstance(event, FillCorrected):
        return [*event.added, *_named(step.after, event.removed)]
    return _named(step.after, event.removed) if isinstance(event, FillBusted) else []


def _named(order: Order, fill_ids: tuple[str, ...]) -> list[Fill]:
    return [fill for fill in order.fills if fill.fill_id in fill_ids]
