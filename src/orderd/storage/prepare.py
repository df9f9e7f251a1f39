"""From a core `Append` to the rows that record it, all but the sequence.

This runs before the writer is handed anything, so a value that cannot be written down is its caller's exception alone.
What is left for the writer is to splice in the sequence, which only the transaction knows.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from orderd.core.events import FillBusted, FillCorrected, Filled, Imported, Replaced, Resolved, Restated, Step
from orderd.core.order import AssetClass, Fill, Order
from orderd.core.values import FillId, canonical
from orderd.ports import Append, Discrepancy, RawPayload
from orderd.wire.desk_events import Said, discrepancy_bytes, partial_discrepancy_event, said_by
from orderd.wire.messages import fill_bytes, order_bytes, partial_event_bytes
from orderd.wire.symbols import contract

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)

Cell = str | int | bytes | None
Cells = tuple[Cell, ...]

_state = msgspec.msgpack.Encoder()


class PreparedFill(msgspec.Struct, frozen=True, gc=False):
    """A fill that an event touched. `cells` are its columns, but for `sequence`, which stands before the last two."""

    fill_id: str
    body: bytes
    cells: Cells


class PreparedEvent(msgspec.Struct, frozen=True, gc=False):
    """One step: the partial messages of the event and of the order after it, and the fills it touched."""

    version: int
    event: bytes
    order: bytes
    fills: tuple[PreparedFill, ...]


class PreparedDiscrepancy(msgspec.Struct, frozen=True, gc=False):
    """A record that is opened or closed, and its event without its place."""

    discrepancy_id: str
    is_closing: bool
    cells: Cells
    body: bytes
    event: bytes
    said: Said


class Prepared(msgspec.Struct, frozen=True):
    """One append, ready but for its sequences. `cells` are the order's columns before `version`."""

    order: Order | None
    is_new: bool
    cells: Cells
    state: bytes
    events: tuple[PreparedEvent, ...]
    links: tuple[Cells, ...]
    raw: tuple[Cells, ...]
    discrepancies: tuple[PreparedDiscrepancy, ...] = ()


def microseconds(time: datetime) -> int:
    """Return microseconds since 1970 UTC, exactly."""
    return (time - EPOCH) // MICROSECOND


def expiry_of(order: Order) -> str:
    """Return an option's expiry as YYYY-MM-DD, empty for anything else."""
    if order.asset_class is not AssetClass.US_OPTION:
        return ""
    option = contract(order.intent.symbol)
    return option.expiry.isoformat() if option else ""


def prepare(append: Append) -> Prepared:
    """Encode everything an append says that does not depend on its place in the journal."""
    raw = tuple([_raw(payload) for payload in append.raw])
    differing = _discrepancies(append) if append.discrepancies else ()
    if not append.steps:
        return Prepared(
            order=None,
            is_new=False,
            cells=(),
            state=b"",
            events=(),
            links=(),
            raw=raw,
            discrepancies=differing,
        )
    first, last = append.steps[0], append.steps[-1]
    order = last.after
    is_new = first.before is None
    return Prepared(
        order=order,
        is_new=is_new,
        cells=order_cells(order),
        state=_state.encode(msgspec.structs.replace(order, fills=()) if order.fills else order),
        events=_events(append.steps, order),
        links=tuple(_links(append.steps)) if order.links else (),
        raw=raw,
        discrepancies=differing,
    )


def _events(steps: tuple[Step, ...], final: Order) -> tuple[PreparedEvent, ...]:
    return tuple(
        [
            PreparedEvent(step.after.version, partial_event_bytes(step), order_bytes(step.after), _fills(step, final))
            for step in steps
        ]
    )


def check(steps: tuple[Step, ...]) -> None:
    """Hold the caller to one order and to versions without gaps; 1 is the first. Raises ValueError."""
    if not steps:
        return
    first = steps[0]
    if first.before is None and first.after.version != 1:
        raise ValueError(f"order {first.after.order_id} begins at version {first.after.version}, not 1")
    for number, step in enumerate(steps, start=first.after.version):
        if step.after.version != number or step.after.order_id != first.after.order_id:
            raise ValueError(f"order {first.after.order_id}: the steps of one append are one order's next versions")


def order_cells(order: Order) -> Cells:
    """The columns of the order's row before `version`."""
    intent = order.intent
    return (
        order.order_id,
        intent.account_id,
        "" if order.is_external else intent.client_order_id,
        microseconds(order.created_time),
        order.state.value,
        intent.symbol,
        order.underlying,
        expiry_of(order),
        order.asset_class.value,
        intent.side.value if intent.side else "",
        intent.role.value if intent.role else "",
        intent.strategy,
        "",  # strategy_type: groups are recognised on a later floor
        1 if order.is_external else 0,
        intent.trace_id,
        intent.decision_id,
        intent.trade_id,
    )


def _touched(step: Step) -> tuple[FillId, ...]:
    """Return the fills this event added or changed; `evolve` is the other half of this list."""
    if step.before is None:
        return tuple(fill.fill_id for fill in step.after.fills)
    match step.event:
        case Filled(fill=Fill() as fill):
            return (fill.fill_id,)
        case FillCorrected():
            return (*step.event.removed, *step.event.misplaced, *(fill.fill_id for fill in step.event.added))
        case FillBusted():
            return (*step.event.removed, *(fill.fill_id for fill in step.event.added))
        case Restated(added_alias=(fill_id, _)):
            return (fill_id,)
        case _:
            return ()


def _fills(step: Step, final: Order) -> tuple[PreparedFill, ...]:
    touched = _touched(step)
    if not touched:
        return ()
    return tuple([_fill(step, fill, final) for fill in step.after.fills if fill.fill_id in touched])


def _fill(step: Step, fill: Fill, final: Order) -> PreparedFill:
    body = fill_bytes(step.after, fill)
    return PreparedFill(fill.fill_id, body, (*fill_cells(final, fill), body, _state.encode(fill)))


def fill_cells(order: Order, fill: Fill) -> Cells:
    """The columns of the fill's row before `sequence`."""
    intent = order.intent
    return (
        fill.fill_id,
        order.order_id,
        intent.account_id,
        intent.symbol,
        intent.trade_id,
        fill.status.value,
        canonical(fill.quantity),
        canonical(fill.price),
        microseconds(fill.recorded_time),
    )


def _links(steps: tuple[Step, ...]) -> Iterator[Cells]:
    for step in steps:
        after = step.after
        if step.before is None or isinstance(step.event, Replaced | Resolved | Imported):
            for link in after.links:
                yield (after.intent.account_id, link.broker_order_id, after.order_id)
        elif step.event.link is not None:
            yield (after.intent.account_id, step.event.link.broker_order_id, after.order_id)


def _raw(payload: RawPayload) -> Cells:
    return (
        payload.account_id,
        payload.broker_order_id,
        payload.kind,
        1 if payload.is_quarantined else 0,
        microseconds(payload.recorded_time),
        payload.body,
    )


def _discrepancies(append: Append) -> tuple[PreparedDiscrepancy, ...]:
    order = append.order if append.steps else None
    return tuple([_discrepancy(record, order) for record in append.discrepancies])


def _discrepancy(record: Discrepancy, order: Order | None) -> PreparedDiscrepancy:
    event = partial_discrepancy_event(record, order)
    return PreparedDiscrepancy(
        record.discrepancy_id,
        record.resolved_time is not None,
        _discrepancy_cells(record),
        discrepancy_bytes(record),
        event,
        said_by(event),
    )


def _discrepancy_cells(record: Discrepancy) -> Cells:
    """The record's cells, in the order of its table's columns."""
    return (
        record.discrepancy_id,
        record.account_id,
        record.kind.value,
        record.subject,
        record.order_id,
        record.broker_order_id,
        record.symbol,
        record.expected,
        record.observed,
        record.evidence,
        record.source.value if record.source else "",
        microseconds(record.opened_time),
        record.after_sequence,
        None if record.resolved_time is None else microseconds(record.resolved_time),
        record.resolved_by.value if record.resolved_by else "",
        record.resolution,
        record.operator_name,
    )
