"""What the fault script does with a request that was taken: to the order it started, and to the answer's echo."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any, cast

from orderd.venue.core import Venue
from orderd.venue.exchange import Request
from orderd.venue.faults import Fault, FaultKind
from orderd.venue.money import NANO, floor_to, is_whole
from orderd.venue.orders import Order, Status

Faulted = Mapping[FaultKind, Fault]


def play(venue: Venue, request: Request, said: object, faults: Faulted) -> None:
    """Plan what shall happen to the order of this request. All of it happens right after the answer."""
    started = str(cast("dict[str, Any]", said).get("id", "")) if isinstance(said, dict) else ""
    named = request.path.rsplit("/", 1)[-1].lower()
    if request.method == "POST" and started:
        _after_post(venue, started, faults)
    elif request.method == "DELETE" and FaultKind.FILL_CROSSES_CANCEL in faults:
        _cross(venue, named, faults[FaultKind.FILL_CROSSES_CANCEL])
    elif request.method == "PATCH" and FaultKind.FILL_CROSSES_REPLACE in faults:
        _cross(venue, named, faults[FaultKind.FILL_CROSSES_REPLACE])


def _after_post(venue: Venue, order_id: str, faults: Faulted) -> None:
    delay = venue.state.settings.route_delay
    for kind, action in (
        (FaultKind.REJECT, _reject),
        (FaultKind.PARTIAL_THEN_CANCEL, _partial_then_cancel),
        (FaultKind.OVERFILL, _overfill),
    ):
        fault = faults.get(kind)
        if fault is not None:
            venue.state.after(delay, partial(action, venue, order_id, fault))


def _cross(venue: Venue, order_id: str, fault: Fault) -> None:
    """The order fills while the request is on its way: at once, so ahead of the request's own delay."""
    if venue.state.book.get(order_id) is not None:
        venue.state.after(timedelta(), partial(_fill, venue, order_id, fault))


def _fill(venue: Venue, order_id: str, fault: Fault) -> None:
    order = venue.state.book.get(order_id)
    if order is not None and order.is_open:
        venue.fill(order_id, fault.quantity)


def _reject(venue: Venue, order_id: str, fault: Fault) -> None:
    del fault
    if venue.state.book.get(order_id) is not None:
        venue.end(order_id, Status.REJECTED)


def _partial_then_cancel(venue: Venue, order_id: str, fault: Fault) -> None:
    order = venue.state.book.get(order_id)
    if order is None or not order.is_open:
        return
    part = fault.quantity if fault.quantity is not None else _half(order)
    if part:
        venue.fill(order_id, part)
    venue.end(order_id, Status.CANCELED)


def _half(order: Order) -> Decimal:
    half = order.leaves / 2
    return floor_to(half, Decimal(1)) if is_whole(order.leaves) else floor_to(half, NANO)


def _overfill(venue: Venue, order_id: str, fault: Fault) -> None:
    """More than was ordered: all of it, and one (or `quantity`) more in a second execution."""
    order = venue.state.book.get(order_id)
    if order is None:
        return
    if order.is_open:
        venue.fill(order_id)
    venue.fill(order_id, fault.quantity or Decimal(1))


def distort(said: object, faults: Faulted) -> None:
    """Change the echo of an order: wrong fields, or a status that nobody knows."""
    rows = cast("list[object]", said) if isinstance(said, list) else [said]
    for row in rows:
        if not isinstance(row, dict) or "status" not in row:
            continue
        shown = cast("dict[str, Any]", row)
        if FaultKind.LIE in faults:
            _lie(shown, faults[FaultKind.LIE].fields)
        if FaultKind.UNKNOWN_STATUS in faults:
            shown["status"] = faults[FaultKind.UNKNOWN_STATUS].word


def _lie(shown: dict[str, Any], fields: Mapping[str, str | None]) -> None:
    shown.update(fields)
    if "type" in fields:  # the two keys always agree
        shown["order_type"] = fields["type"]
