"""Whether what the tables say of an order is what its events say: all of it, to the last decimal.

Rule: nothing here repairs, and nothing here stops at the first fault. A journal of an earlier release passes too, so
messages are compared by the fields that were written then.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Final

import msgspec
from google.protobuf.message import DecodeError, Message

from oms.v1 import order_pb2 as pb
from orderd.core.book import total
from orderd.core.order import Fill, Order
from orderd.core.values import canonical, multiply
from orderd.storage.prepare import Cells, fill_cells, order_cells
from orderd.storage.schema import orders
from orderd.wire.enums import STATUS
from orderd.wire.messages import fill_message, order_message

_NAMES: Final = [column.name for column in orders.columns]
ORDER_COLUMNS: Final = tuple(_NAMES[_NAMES.index("order_id") : _NAMES.index("version")])
_order = msgspec.msgpack.Decoder(Order)
_fill = msgspec.msgpack.Decoder(Fill)


class OrderRow(msgspec.Struct, frozen=True):
    """An order's row. `cells` are its columns before `version`: copies of what stands in its message and state."""

    cells: Cells
    version: int
    sequence: int
    body: bytes
    state: bytes

    @property
    def order_id(self) -> str:
        """Whose row it is."""
        return str(self.cells[0])


class EventRow(msgspec.Struct, frozen=True):
    """An event's row."""

    sequence: int
    order_id: str
    version: int
    body: bytes


class FillRow(msgspec.Struct, frozen=True):
    """A fill's row. `cells` are its columns before `sequence`, which is that of the event that booked it."""

    cells: Cells
    sequence: int
    body: bytes
    state: bytes

    @property
    def fill_id(self) -> str:
        """Whose row it is."""
        return str(self.cells[0])


class Record(msgspec.Struct, frozen=True):
    """Everything the journal has of one order, as of one moment. `floor`: events up to it were removed."""

    row: OrderRow
    events: Sequence[EventRow]
    fills: Sequence[FillRow]
    owner: Callable[[str], str | None]
    """The order that a broker order id leads to."""
    floor: int = 0


def faults(record: Record) -> Iterator[str]:
    """Say what does not agree; nothing when all of it does."""
    row = record.row
    try:
        body = pb.Order.FromString(row.body)
        events = [pb.OrderEvent.FromString(event.body) for event in record.events]
        stored = [pb.Fill.FromString(fill.body) for fill in record.fills]
        booked = tuple(_fill.decode(fill.state) for fill in record.fills)
        kept = _order.decode(row.state)
        is_read = [_is_read(row.state, kept), *map(_is_read, [fill.state for fill in record.fills], booked)]
    except (DecodeError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        yield f"cannot be read: {error}"
        return
    if not all(is_read):
        yield "something in its state is not known"
    order = msgspec.structs.replace(kept, fills=booked, sequence=row.sequence)
    yield from _row_faults(row, body, order)
    yield from _story_faults(record, events)
    yield from _fill_faults(record, events, stored, order)
    yield from _sum_faults(order)
    yield from _link_faults(record, order)
    if events and events[-1].order != body:
        yield f"event {events[-1].sequence} left it as another order than its row says"


def _is_read(state: bytes, value: Order | Fill) -> bool:
    """Whether the value has all that its bytes say: a damaged name would be passed over in silence."""
    said: object = msgspec.msgpack.decode(state)
    return bool(said == msgspec.msgpack.decode(msgspec.msgpack.encode(value)))


def _row_faults(row: OrderRow, body: pb.Order, order: Order) -> Iterator[str]:
    """The columns, the message and the core value."""
    key = "" if body.external else body.client_order_id
    ours = dict(zip(ORDER_COLUMNS, row.cells, strict=True)) | {"version": row.version, "sequence": row.sequence}
    theirs = {
        "order_id": body.order_id,
        "account_id": body.account_id,
        "client_order_id": key,
        "status": STATUS.word.get(body.status, "unknown"),
        "symbol": body.symbol,
        "version": body.version,
        "sequence": body.sequence,
    }
    for name, said in theirs.items():
        if ours[name] != said:
            yield f"{name} is {ours[name]!s} in its row and {said} in its message"
    for name, said in zip(ORDER_COLUMNS, order_cells(order), strict=True):
        if name not in theirs and ours[name] != said:
            yield f"{name} is {ours[name]!s} in its row and {said!s} in its state"
    yield from _differing("its state", body, order_message(order))


def _differing(what: str, stored: Message, made: Message) -> Iterator[str]:
    """Fields of a stored message that it would not have if it were made now. A later release may add fields."""
    for field, value in stored.ListFields():
        if getattr(made, field.name) != value:
            yield f"{field.name} of its message is not that of {what}"


def _story_faults(record: Record, events: Sequence[pb.OrderEvent]) -> Iterator[str]:
    """Versions 1, 2, 3 …, each event from the status that the one before left, the last one at the row's version."""
    for stored, event in zip(record.events, events, strict=True):
        yield from _event_faults(stored, event)
    for previous, event in pairwise(events):
        if event.version != previous.version + 1:
            yield f"version {event.version} follows version {previous.version}"
        elif event.from_status != previous.to_status:
            yield f"event {event.sequence} does not begin where event {previous.sequence} ended"
    yield from _end_faults(record, events)


def _event_faults(stored: EventRow, event: pb.OrderEvent) -> Iterator[str]:
    said = (event.sequence, event.order_id, event.version)
    if said != (stored.sequence, stored.order_id, stored.version):
        yield f"event {stored.sequence} calls itself {said}"
    after = event.order
    if (after.version, after.sequence, after.status) != (event.version, event.sequence, event.to_status):
        yield f"event {stored.sequence} and the order in it disagree"


def _end_faults(record: Record, events: Sequence[pb.OrderEvent]) -> Iterator[str]:
    row = record.row
    if not events:
        if row.sequence > record.floor:
            yield "it has no events"
        return
    if events[0].version != 1 and not record.floor:
        yield f"its first event is version {events[0].version}"
    if (events[-1].version, events[-1].sequence) != (row.version, row.sequence):
        yield f"its last event is {events[-1].sequence}, and its row says {row.sequence}"


def _fill_faults(
    record: Record, events: Sequence[pb.OrderEvent], stored: Sequence[pb.Fill], order: Order
) -> Iterator[str]:
    """The book of fills is what the events booked, changed and took back."""
    told: dict[str, pb.Fill] = {}
    for event in events:
        told.update({fill.fill_id: fill for fill in (event.fill, *event.other_fills) if fill.fill_id})
    for row, message, booked in zip(record.fills, stored, order.fills, strict=True):
        if row.cells != fill_cells(order, booked):
            yield f"fill {row.fill_id} has another row than state"
        for text in _differing("its state", message, fill_message(order, booked)):
            yield f"fill {row.fill_id}: {text}"
        last = told.pop(row.fill_id, None)
        if last is None and not record.floor:
            yield f"fill {row.fill_id} is in no event"
        elif last is not None and _essence(last) != _essence(message):
            yield f"fill {row.fill_id} is not what its last event says"
    for fill_id in told:
        yield f"fill {fill_id} of its events is missing"


def _essence(fill: pb.Fill) -> tuple[object, ...]:
    """What an event says for good; an inferred fill learns its execution id later."""
    return fill.order_id, fill.broker_order_id, fill.side, fill.quantity, fill.price, fill.status


def _sum_faults(order: Order) -> Iterator[str]:
    """Exact sums over the fills that count. A MULTILEG parent has the broker's own figures and no fills."""
    if order.is_parent_of_legs:
        return
    counted = [fill for fill in order.fills if fill.is_counted]
    sums = {
        "filled quantity": (order.filled_quantity, total(fill.quantity for fill in counted)),
        "filled value": (order.filled_value, total(multiply(fill.quantity, fill.price) for fill in counted)),
    }
    for name, (ours, theirs) in sums.items():
        if ours != theirs:
            yield f"{name} is {canonical(ours)}, and its fills add up to {canonical(theirs)}"


def _link_faults(record: Record, order: Order) -> Iterator[str]:
    """Every broker order of its chain leads to an order: to it, or to the one that adopted it."""
    for link in order.links:
        if record.owner(link.broker_order_id) is None:
            yield f"broker order {link.broker_order_id} leads nowhere"
