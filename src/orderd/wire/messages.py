"""Core values as `oms.v1` messages, and as the bytes that are stored and sent.

Rule 1: decimals leave in their canonical form, absent ones as an empty string.
Rule 2: the bytes are deterministic: the same order gives the same bytes in every process.
Rule 3: `sequence` may not be known yet when an order is built, so `order_bytes` leaves it out and `splice` appends it.
Rule 4: an order is two runs of fields, what was asked (up to 40) and how it stands (from 41 on), put one behind the
other. Times are written by hand: the same few moments stand in an order and in its events again and again.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Final
from zlib import crc32

from oms.v1 import order_pb2 as pb
from orderd.core.events import FillBusted, FillCorrected, Filled, Step
from orderd.core.order import AssetClass, Fill, Order, OrderIntent, Terms
from orderd.core.values import Reason, canonical
from orderd.wire import enums, splice
from orderd.wire.symbols import contract
from orderd.wire.times import read_time, set_time, time_field

_EXPIRES_TIME: Final = splice.tag(pb.Order.DESCRIPTOR, "expires_time")
_CREATED_TIME: Final = splice.tag(pb.Order.DESCRIPTOR, "created_time")
_SUBMITTED_TIME: Final = splice.tag(pb.Order.DESCRIPTOR, "submitted_time")
_ACCEPTED_TIME: Final = splice.tag(pb.Order.DESCRIPTOR, "accepted_time")
_UPDATED_TIME: Final = splice.tag(pb.Order.DESCRIPTOR, "updated_time")
_CLOSED_TIME: Final = splice.tag(pb.Order.DESCRIPTOR, "closed_time")
_DECIDED_TIME: Final = splice.tag(pb.Order.DESCRIPTOR, "decided_time")
_VALID_UNTIL_TIME: Final = splice.tag(pb.Order.DESCRIPTOR, "valid_until_time")
_REFERENCE_PRICE: Final = splice.tag(pb.Order.DESCRIPTOR, "reference_price")
_EVENT_BROKER_TIME: Final = splice.tag(pb.OrderEvent.DESCRIPTOR, "broker_time")
_EVENT_RECORDED_TIME: Final = splice.tag(pb.OrderEvent.DESCRIPTOR, "recorded_time")
_EVENT_TRACE_ID: Final = splice.tag(pb.OrderEvent.DESCRIPTOR, "trace_id")
_EVENT_OTHER_FILLS: Final = splice.tag(pb.OrderEvent.DESCRIPTOR, "other_fills")

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


_text: Final = lru_cache(maxsize=4096)(canonical)
"""Equal decimals have one canonical form, however many zeros they carry."""

_asked_part: Final[Callable[[Order], tuple[object, ...]]] = attrgetter(
    "order_id",
    "intent",
    "terms",
    "parent_order_id",
    "is_external",
    "broker_client_reference",
    "broker",
    "mode",
    "asset_class",
    "leg_number",
    "leg_order_ids",
    "underlying",
    "multiplier",
    "expires_time",
)
"""Everything that `_asked_bytes` is made from, but for the broker's ids."""
_SLOTS: Final = 1024
_written: Final[list[tuple[tuple[object, ...], bytes]]] = [((), b"")] * _SLOTS
"""What was asked for in the orders serialised lately, each in the slot of its id: its next events say it again.

Whoever finds its own key in a slot finds the bytes that it would make; a slot is replaced as one tuple, by any thread.
"""


def text_of(value: Decimal | None) -> str:
    """Return the wire form of a decimal: canonical, empty when absent."""
    return "" if value is None else _text(value)


def reason_message(reason: Reason) -> pb.StatusReason:
    """Return a reason as a message; an origin that is no event source is left out."""
    return pb.StatusReason(
        code=reason.code,
        message=reason.message,
        source=enums.ORIGIN.get(reason.origin, pb.EVENT_SOURCE_UNSPECIFIED),
        evidence=reason.evidence,
        operator_name=reason.operator_name,
    )


def order_message(order: Order) -> pb.Order:
    """Return the order as a message, with its sequence when it has one: the slow way, for whoever needs the message."""
    message = _asked(order)
    message.MergeFrom(_standing(order))
    set_time(message.expires_time, order.expires_time)
    set_time(message.created_time, order.created_time)
    set_time(message.submitted_time, order.submitted_time)
    set_time(message.accepted_time, order.accepted_time)
    set_time(message.updated_time, order.updated_time)
    set_time(message.closed_time, order.closed_time)
    set_time(message.decided_time, order.intent.decided_time)
    set_time(message.valid_until_time, order.intent.valid_until_time)
    message.reference_price = text_of(order.intent.reference_price)
    message.sequence = order.sequence
    return message


def order_bytes(order: Order) -> bytes:
    """Return the bytes of the order without its sequence; `splice.with_sequence` completes them."""
    return _asked_bytes(order) + _standing_bytes(order)


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
    changed = _changed_fills(step)
    message = _event(step, changed)
    set_time(message.broker_time, step.event.broker_time)
    set_time(message.recorded_time, step.event.at)
    message.trace_id = step.after.intent.trace_id
    message.other_fills.extend(fill_message(step.after, fill) for fill in changed[1:])
    message.order.CopyFrom(order_message(step.after))
    message.order.sequence = sequence
    message.sequence = sequence
    return message


@lru_cache(maxsize=512)
def order_event(data: bytes) -> pb.OrderEvent:
    """A stored event as a message, not to be changed: those who follow the feed read the same one."""
    return pb.OrderEvent.FromString(data)


def event_bytes(step: Step, sequence: int, order: bytes) -> bytes:
    """Return the bytes of the event: those that are stored and streamed.

    `order` are the complete bytes of `step.after` (with `sequence` as its sequence): they are copied, not built again.
    """
    return splice.complete_event(partial_event_bytes(step), order, sequence)


def partial_event_bytes(step: Step) -> bytes:
    """Return the bytes of the event without its order and sequence; `splice.complete_event` completes them."""
    order, changed = step.after, _changed_fills(step)
    parts = [
        _event(step, changed).SerializeToString(),
        time_field(_EVENT_BROKER_TIME, step.event.broker_time),
        time_field(_EVENT_RECORDED_TIME, step.event.at),
        splice.text_field(_EVENT_TRACE_ID, order.intent.trace_id),
    ]
    if len(changed) > 1:
        parts.append(splice.many_fields(_EVENT_OTHER_FILLS, [fill_bytes(order, fill) for fill in changed[1:]]))
    return b"".join(parts)


# ------------------------------------------------------------------------------------------------------------- an order


def _asked_bytes(order: Order) -> bytes:
    part = (*_asked_part(order), [link.broker_order_id for link in order.links])
    slot = crc32(order.order_id.encode()) % _SLOTS
    known, written = _written[slot]
    if part != known:
        written = _serialised(order)
        _written[slot] = (part, written)
    return written


def _serialised(order: Order) -> bytes:
    # Only a map has no order of its own; asking for one costs as much as a few fields.
    asked = _asked(order).SerializeToString(deterministic=bool(order.intent.tags))
    return asked + time_field(_EXPIRES_TIME, order.expires_time) if order.expires_time is not None else asked


def _standing_bytes(order: Order) -> bytes:
    intent = order.intent
    return b"".join(
        (
            _standing(order).SerializeToString(),
            time_field(_CREATED_TIME, order.created_time),
            time_field(_SUBMITTED_TIME, order.submitted_time),
            time_field(_ACCEPTED_TIME, order.accepted_time),
            time_field(_UPDATED_TIME, order.updated_time),
            time_field(_CLOSED_TIME, order.closed_time),
            time_field(_DECIDED_TIME, intent.decided_time),
            time_field(_VALID_UNTIL_TIME, intent.valid_until_time),
            splice.text_field(_REFERENCE_PRICE, text_of(intent.reference_price)),
        )
    )


def _asked(order: Order) -> pb.Order:
    """The fields up to 40, but for expires_time: what was asked, and where it is."""
    intent = order.intent
    message = pb.Order(
        order_id=order.order_id,
        account_id=intent.account_id,
        client_order_id=intent.client_order_id,
        trace_id=intent.trace_id,
        strategy=intent.strategy,
        broker=order.broker,
        mode=_MODE[order.mode],
        symbol=intent.symbol,
        asset_class=_ASSET_CLASS[order.asset_class],
        order_class=_ORDER_CLASS[intent.order_class],
        multiplier=_text(order.multiplier),
    )
    if intent.side is not None:
        message.side = _SIDE[intent.side]
    _add_terms(message, order.terms)
    _add_names(message, order)
    _add_extras(message, intent)
    if intent.legs:
        _add_legs(message, order)
    if order.asset_class is AssetClass.US_OPTION:
        _add_contract(message, intent.symbol)
    return message


def _add_names(message: pb.Order, order: Order) -> None:
    """The ids that an order is given on its way, and those that only some callers give."""
    intent, links = order.intent, order.links
    if links:
        message.broker_order_id = links[-1].broker_order_id
        message.broker_order_ids.extend([link.broker_order_id for link in links])
    if intent.decision_id:
        message.decision_id = intent.decision_id
    if intent.trade_id:
        message.trade_id = intent.trade_id
    if order.parent_order_id is not None:
        message.parent_order_id = order.parent_order_id
        message.leg_number = order.leg_number
    if order.is_external:
        message.external = True
        message.broker_client_reference = order.broker_client_reference
    if order.underlying:
        message.underlying = order.underlying


def _standing(order: Order) -> pb.Order:
    """The fields from 41 on that are no times: how it stands."""
    message = pb.Order(
        status=_STATUS[order.state],
        filled_quantity=_text(order.filled_quantity),
        leaves_quantity=text_of(order.leaves_quantity),
        version=order.version,
    )
    if order.filled_quantity:
        message.average_fill_price = text_of(order.average_fill_price)
    if order.broker_status:
        message.broker_status = order.broker_status
    if order.pending_cancel:
        message.pending_cancel = True
    if order.is_overfilled:
        message.overfilled = True
    if order.reason is not None:
        message.status_reason.CopyFrom(reason_message(order.reason))
    if order.pending_replace is not None:
        message.pending_replace = True
        message.pending_replace_terms.CopyFrom(_replace_terms(order.pending_replace.terms))
    return message


def _add_terms(message: pb.Order, terms: Terms) -> None:
    message.type = _TYPE[terms.type]
    message.time_in_force = _TIME_IN_FORCE[terms.time_in_force]
    if terms.extended_hours:
        message.extended_hours = True
    if terms.quantity is not None:
        message.quantity = _text(terms.quantity)
    if terms.notional is not None:
        message.notional = _text(terms.notional)
    if terms.limit_price is not None:
        message.limit_price = _text(terms.limit_price)
    if terms.stop_price is not None:
        message.stop_price = _text(terms.stop_price)
    if terms.trail_price is not None:
        message.trail_price = _text(terms.trail_price)
    if terms.trail_percent is not None:
        message.trail_percent = _text(terms.trail_percent)


def _add_extras(message: pb.Order, intent: OrderIntent) -> None:
    """What few orders have: a role, tags, an intent for the position, attached orders."""
    if intent.role is not None:
        message.role = _ROLE[intent.role]
    if intent.tags:
        message.tags.update(dict(intent.tags))
    if intent.position_intent is not None:
        message.position_intent = _POSITION_INTENT[intent.position_intent]
    if intent.take_profit is not None:
        message.take_profit.limit_price = canonical(intent.take_profit)
    if intent.stop_loss is not None:
        message.stop_loss.stop_price = canonical(intent.stop_loss.stop_price)
        message.stop_loss.limit_price = text_of(intent.stop_loss.limit_price)


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


# ------------------------------------------------------------------------------------------------------------ an event


def _event(step: Step, changed: Sequence[Fill]) -> pb.OrderEvent:
    """The fields up to 9, with the first of the fills that changed."""
    event, order = step.event, step.after
    message = pb.OrderEvent(
        order_id=order.order_id,
        account_id=order.intent.account_id,
        version=order.version,
        type=_EVENT_TYPE[step.type],
        to_status=_STATUS[order.state],
        source=_SOURCE[event.source],
    )
    if step.before is not None:
        message.from_status = _STATUS[step.before]
    if event.reason is not None:
        message.reason.CopyFrom(reason_message(event.reason))
    if changed:
        message.fill.CopyFrom(fill_message(order, changed[0]))
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


def recorded_time(event: bytes) -> datetime:
    """When an event was recorded, from its stored bytes."""
    return read_time(pb.OrderEvent.FromString(event).recorded_time)
