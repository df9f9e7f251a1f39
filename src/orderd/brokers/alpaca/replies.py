"""What a 200 and a stream message are worth: the echo is compared with what was sent, a frame becomes an update."""

from collections.abc import Callable

from orderd.brokers.alpaca import parse
from orderd.brokers.alpaca.client import Arrival, Connected, Disconnected, Frame, LateAnswer, Response
from orderd.brokers.alpaca.fields import ParseError, as_object, decode, text
from orderd.core.facts import View
from orderd.core.order import Order, OrderClass
from orderd.ports import (
    Acked,
    BrokerReport,
    ReplaceRequest,
    ReportKind,
    StreamDown,
    StreamUp,
    Unknown,
    Unreadable,
    Update,
)

LATE_ANSWER = "late_answer"
"""The event name of a report made from an answer that came after its caller's deadline."""


def acked(response: Response, asked_ns: int, complain: Callable[[View], str]) -> Acked | Unknown:
    """Take a 200 as a yes only when its echo is the order that was sent."""
    try:
        view = parse.order(response.body, asked_ns=asked_ns)
    except ParseError as error:
        return Unknown(code="UNREADABLE_ANSWER", message=str(error), raw=response.body)
    if found := complain(view):
        return Unknown(code="ECHO_MISMATCH", message=found, raw=response.body)
    return Acked(view=view, raw=response.body)


def echo_complaint(order: Order, view: View) -> str:
    """Name the first of client id, symbol, side and amount that is not what was sent. Alpaca may round prices."""
    intent, terms = order.intent, order.terms
    if view.terms is None:
        return "its type or time in force is unknown here"
    pairs = (
        ("client_order_id", intent.client_order_id, view.client_order_id),
        ("symbol", intent.symbol, view.symbol),
        ("side", intent.side, view.side),
        ("qty", terms.quantity, view.terms.quantity),
        ("notional", terms.notional, view.terms.notional),
    )
    for name, sent, echoed in pairs:
        if sent != echoed:
            return f"{name}: sent {sent}, echoed {echoed}"
    if intent.order_class is OrderClass.MULTILEG:
        return _legs_complaint(order, view)
    return ""


def _legs_complaint(order: Order, view: View) -> str:
    sent = sorted((leg.symbol, leg.side, leg.ratio) for leg in order.intent.legs)
    echoed = sorted((leg.symbol, leg.side or "", leg.ratio) for leg in view.legs)
    return "" if sent == echoed else "legs: not the ones that were sent"


def successor_complaint(request: ReplaceRequest, old_id: str, view: View) -> str:
    """Name what shows that this is not the successor that was asked for."""
    if view.broker_order_id == old_id:
        return "the answer is the old order"
    if view.replaces and view.replaces != old_id:
        return f"replaces: sent {old_id}, echoed {view.replaces}"
    if view.terms is None:
        return "its type or time in force is unknown here"
    intent = request.order.intent
    pairs = (
        ("client_order_id", request.client_order_id, view.client_order_id),
        ("symbol", intent.symbol, view.symbol),
        ("side", intent.side, view.side),
        ("qty", request.terms.quantity, view.terms.quantity),
    )
    for name, sent, echoed in pairs:
        if sent != echoed:
            return f"{name}: sent {sent}, echoed {echoed}"
    return ""


def update(arrival: Arrival) -> Update | None:
    """Turn what arrived unasked into an update; None for chatter that says nothing about an order."""
    match arrival:
        case Connected():
            return StreamUp()
        case Disconnected(message=message):
            return StreamDown(message=message)
        case Frame(data=data):
            return frame(data)
        case LateAnswer():
            return _late(arrival)


def frame(data: bytes) -> BrokerReport | Unreadable | None:
    """Read one stream message; what cannot be read is kept whole."""
    try:
        envelope = as_object(decode(data), "message")
        stream = text(envelope, "stream")
        if stream in {"authorization", "listening"}:
            return None
        if stream != "trade_updates":
            return Unreadable(message=f"a message of the stream {stream!r}", raw=data)
        return parse.report(as_object(envelope.get("data"), "data"), data)
    except ParseError as error:
        return Unreadable(message=str(error), raw=data)


def _late(late: LateAnswer) -> BrokerReport | None:
    """Report the order of a late yes. A late no says nothing that a lookup would not say better."""
    if late.response.status != 200 or late.request.method not in {"POST", "PATCH"}:  # noqa: PLR2004
        return None
    try:
        view = parse.order(late.response.body, asked_ns=late.asked_ns)
    except ParseError:
        return None
    return BrokerReport(kind=ReportKind.UPDATE, view=view, event=LATE_ANSWER, raw=late.response.body)
