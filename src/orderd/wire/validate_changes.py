"""Requests that change an order: cancel, cancel all, replace. And the operator's resume."""

from typing import Final

from oms.v1 import broker_service_pb2 as broker_pb
from oms.v1 import order_service_pb2 as service_pb
from orderd.core.order import Order, OrderClass, OrderType
from orderd.core.values import ZERO
from orderd.wire import enums
from orderd.wire.asks import CancelAllAsk, CancelAsk, Invalid, OrderName, ReplaceAsk, ResumeAsk
from orderd.wire.fields import MAX_REASON, Fields
from orderd.wire.symbols import MAX_SYMBOL

_LIMITED: Final = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_STOPPED: Final = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})


def cancel_ask(request: service_pb.CancelOrderRequest) -> CancelAsk | Invalid:
    """Check a cancel."""
    fields = Fields()
    ask = CancelAsk(
        order=order_name(request, fields),
        reason=fields.text("reason", request.reason, MAX_REASON),
        wait=fields.word("wait", request.wait, enums.WAIT),
    )
    return fields.invalid() if fields.violations else ask


def cancel_all_ask(request: service_pb.CancelAllOrdersRequest) -> CancelAllAsk | Invalid:
    """Check a cancel of everything. `account_id` is as the caller gave it, perhaps empty."""
    fields = Fields()
    ask = CancelAllAsk(
        account_id=fields.text("account_id", request.account_id),
        symbols=fields.several("symbols", request.symbols, MAX_SYMBOL),
        include_protective=request.include_protective,
        include_external=request.include_external,
        reason=fields.text("reason", request.reason, MAX_REASON),
    )
    return fields.invalid() if fields.violations else ask


def replace_ask(request: service_pb.ReplaceOrderRequest) -> ReplaceAsk | Invalid:
    """Check a replace by itself; whether the terms suit the order is for `unsuited` to say."""
    fields = Fields()
    if not request.request_id:
        fields.refuse("request_id", "is required: it is the key of this replace")
    if request.expected_version < 0:
        fields.refuse("expected_version", "must not be negative")
    ask = ReplaceAsk(
        order=order_name(request, fields),
        request_id=fields.key("request_id", request.request_id),
        quantity=fields.positive("quantity", request.quantity),
        # The net price of a multi-leg order may be a credit; `unsuited` knows the order's class.
        limit_price=fields.number("limit_price", request.limit_price),
        stop_price=fields.positive("stop_price", request.stop_price),
        trail=fields.positive("trail", request.trail),
        time_in_force=fields.word("time_in_force", request.time_in_force, enums.TIME_IN_FORCE),
        expected_version=request.expected_version,
        reason=fields.text("reason", request.reason, MAX_REASON),
    )
    return fields.invalid() if fields.violations else ask


def unsuited(ask: ReplaceAsk, order: Order) -> Invalid | None:
    """What the asked terms have that an order of this kind cannot have; None when they suit it."""
    fields = Fields()
    terms = order.terms
    if ask.quantity is not None and terms.quantity is None:
        fields.refuse("quantity", "must be empty: the order has a notional amount, which cannot be replaced")
    if ask.limit_price is not None:
        if terms.type not in _LIMITED:
            fields.refuse("limit_price", f"must be empty for ORDER_TYPE_{terms.type}")
        elif ask.limit_price <= ZERO and order.intent.order_class is not OrderClass.MULTILEG:
            fields.refuse("limit_price", "must be greater than 0")
    if ask.stop_price is not None and terms.type not in _STOPPED:
        fields.refuse("stop_price", f"must be empty for ORDER_TYPE_{terms.type}")
    if ask.trail is not None and terms.type is not OrderType.TRAILING_STOP:
        fields.refuse("trail", f"must be empty for ORDER_TYPE_{terms.type}")
    return fields.invalid() if fields.violations else None


def resume_ask(request: broker_pb.ResumeAccountRequest) -> ResumeAsk | Invalid:
    """Check a resume: it needs a reason."""
    fields = Fields()
    ask = ResumeAsk(
        account_id=fields.text("account_id", request.account_id),
        reason=fields.needed("reason", request.reason, MAX_REASON),
    )
    return fields.invalid() if fields.violations else ask


Named = service_pb.CancelOrderRequest | service_pb.ReplaceOrderRequest | broker_pb.ResolveOrderRequest


def order_name(request: Named, fields: Fields) -> OrderName:
    """The order a change is about: exactly one of our id and the key."""
    if request.order_id and request.client_order_id:
        fields.refuse("client_order_id", "must be empty when order_id is given: exactly one of the two")
    elif not (request.order_id or request.client_order_id):
        fields.refuse("order_id", "is required: exactly one of order_id and client_order_id")
    return OrderName(
        order_id=fields.text("order_id", request.order_id),
        client_order_id=fields.key("client_order_id", request.client_order_id),
        account_id=fields.text("account_id", request.account_id),
    )
