"""The interesting situations: what must have happened at least once in a run of simulated days for it to prove much."""

from collections.abc import Iterator, Mapping

from oms.v1 import order_pb2 as opb
from tests.engine.seams import PLACES

STATES = {number: name.removeprefix("ORDER_STATUS_") for name, number in opb.OrderStatus.items()}
TYPES = {number: name.removeprefix("ORDER_EVENT_TYPE_") for name, number in opb.OrderEventType.items()}
ENDED = frozenset({"FILLED", "CANCELED", "EXPIRED", "REJECTED", "DENIED", "SUBMIT_FAILED", "REPLACED"})
NOES = {"REJECTED": "refused by the broker", "DENIED": "denied by risk"}
LONG_CHAIN = 3

OF_EVENTS = frozenset(
    {
        "unknown, then adopted",
        "unknown, then given up",
        "unknown, then sent again",
        "provably not sent",
        "given up before it was sent",
        "adopted in one breath with its fill",
        "refused by the broker",
        "denied by risk",
        "canceled before it was sent",
        "cancel asked for before the broker's id was known",
        "cancel refused",
        "replace proven",
        "replace refused",
        "replaced by somebody else",
        "a chain of three broker orders",
        "fill crossed a cancel",
        "fill crossed a replace",
        "fill after the end",
        "filled after it was canceled",
        "fill inferred",
        "inferred fill explained",
        "fill busted",
        "fill corrected",
        "bust overtook its fill",
        "ended because of a bust",
        "overfilled",
        "revived",
        "expired",
        "imported",
        "terms restated",
        "fill of a leg",
        "leg of a spread filled",
        "not known after the process ended",
    }
)
OF_DAYS = frozenset(
    {
        "wall clock forward",
        "wall clock back",
        "queue full",
        "account recovering",
        "broker of the other account dead",
        "landed late",
        "answer lost",
        "request lost",
        "answer cut",
        "taken and answered 429",
        "stream cut",
        "frame dropped",
        "frames out of order",
        "frame told twice",
        "died in recovery",
        "failed commit",
        "missed fills booked after a reconnect",
        "sent again",
        *(f"died {place}" for place in PLACES),
    }
)
ALL = OF_EVENTS | OF_DAYS
RARE = frozenset({"bust overtook its fill", "revived", "died after PATCH", "died after DELETE"})
"""Which need more days than `make test` lives."""


def situations(event: opb.OrderEvent, before: opb.OrderEvent, fills: Mapping[str, opb.Fill]) -> Iterator[str]:
    """What this event is an example of."""
    was, now, kind, order = STATES[event.from_status], STATES[event.to_status], TYPES[event.type], event.order
    yield from _of_submits(event, was, now, kind)
    yield from _of_changes(event, before, kind)
    yield from _of_fills(event, was, fills)
    code = event.reason.code
    if code == "REVIVED":
        yield "revived"
    if code == "BUSTED" and now == "CANCELED":
        yield "ended because of a bust"
    if now == "EXPIRED" and was != now:
        yield "expired"
    if kind == "IMPORTED":
        yield "imported"
    if code == "TERMS_RESTATED":
        yield "terms restated"
    if order.overfilled and not before.order.overfilled:
        yield "overfilled"


def _of_submits(event: opb.OrderEvent, was: str, now: str, kind: str) -> Iterator[str]:
    code = event.reason.code
    if was == "UNKNOWN":
        yield from _of_unknowns(now, kind)
    elif now == "SUBMIT_FAILED":
        yield "given up before it was sent"
    if code == "NOT_SENT" and now in {"SUBMITTED", "CANCELED"}:
        yield "provably not sent" if now == "SUBMITTED" else "canceled before it was sent"
    if was == "SUBMITTED" and not event.order.accepted_time.seconds and now in {"FILLED", "PARTIALLY_FILLED"}:
        yield "adopted in one breath with its fill"
    if was != now and now in NOES:
        yield NOES[now]
    if code == "RESTARTED":
        yield "not known after the process ended"


def _of_unknowns(now: str, kind: str) -> Iterator[str]:
    if kind == "ACKNOWLEDGED":
        yield "unknown, then adopted"
    if now == "SUBMIT_FAILED":
        yield "unknown, then given up"
    if kind == "SUBMITTED":
        yield "unknown, then sent again"


def _of_changes(event: opb.OrderEvent, before: opb.OrderEvent, kind: str) -> Iterator[str]:
    order = event.order
    if kind == "CANCEL_REQUESTED" and not order.broker_order_ids:
        yield "cancel asked for before the broker's id was known"
    if kind == "CANCEL_REFUSED":
        yield "cancel refused"
    if kind == "REPLACED":
        yield "replace proven"
    if kind == "REPLACE_REFUSED":
        yield "replace refused"
    if event.reason.code == "REPLACED_AT_BROKER":
        yield "replaced by somebody else"
    if len(order.broker_order_ids) == LONG_CHAIN and len(before.order.broker_order_ids) < LONG_CHAIN:
        yield "a chain of three broker orders"


def _of_fills(event: opb.OrderEvent, was: str, fills: Mapping[str, opb.Fill]) -> Iterator[str]:
    if not event.HasField("fill"):
        return
    kind, order, fill = TYPES[event.type], event.order, event.fill
    if kind == "FILL":
        yield from _of_new_fill(event, was)
    if kind == "FILL_CORRECTED":
        inferred = [f for f in fills.values() if f.status == opb.FILL_STATUS_INFERRED]
        yield "inferred fill explained" if inferred else "fill corrected"
    if kind == "FILL_BUSTED":
        yield "fill busted" if fill.fill_id in fills else "bust overtook its fill"
    if order.parent_order_id:
        yield "leg of a spread filled" if order.order_class == opb.ORDER_CLASS_MULTILEG else "fill of a leg"


def _of_new_fill(event: opb.OrderEvent, was: str) -> Iterator[str]:
    order = event.order
    if order.pending_cancel or (was == "PARTIALLY_FILLED" and order.broker_status == "pending_cancel"):
        yield "fill crossed a cancel"
    if order.pending_replace:
        yield "fill crossed a replace"
    if was in ENDED:
        yield "fill after the end"
        if was == "CANCELED" and STATES[event.to_status] == "FILLED":
            yield "filled after it was canceled"
    if event.fill.status == opb.FILL_STATUS_INFERRED:
        yield "fill inferred"
