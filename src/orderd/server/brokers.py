"""BrokerService: what the broker says, beside what we have, and the operator's calls."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from oms.v1 import broker_service_pb2 as pb
from oms.v1 import order_pb2
from orderd.core.facts import View
from orderd.core.order import OPEN, OrderState, Phase, Terms
from orderd.engine.api import Engine, PairedOrder, ReconcileProgress
from orderd.ports import Journal
from orderd.server import naming
from orderd.server.accounts import account_message
from orderd.server.call import Call
from orderd.server.errors import invalid, too_slow
from orderd.server.pages import Place, fitting
from orderd.wire import enums
from orderd.wire.asks import BrokerOrdersAsk, Invalid
from orderd.wire.messages import text_of
from orderd.wire.times import set_time
from orderd.wire.validate_changes import resume_ask
from orderd.wire.validate_queries import broker_orders_ask

_NANOS: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

STATUS_OF: Final[Mapping[Phase, OrderState | None]] = {
    Phase.QUEUED: OrderState.SUBMITTED,
    Phase.WORKING: OrderState.ACCEPTED,
    Phase.FILLED: OrderState.FILLED,
    Phase.CANCELED: OrderState.CANCELED,
    Phase.EXPIRED: OrderState.EXPIRED,
    Phase.REJECTED: OrderState.REJECTED,
    Phase.REPLACED: OrderState.REPLACED,
    Phase.PENDING_CANCEL: OrderState.ACCEPTED,
    Phase.PENDING_REPLACE: OrderState.ACCEPTED,
    Phase.UNKNOWN: None,
}
"""What a broker's word means here; ACCEPTED becomes PARTIALLY_FILLED with the first executed quantity."""


class BrokerService:
    """Reconcile, ListBrokerOrders, ResumeAccount."""

    def __init__(self, engine: Engine) -> None:
        """Everything is asked of the engine."""
        self._engine = engine

    async def Reconcile(self, request: pb.ReconcileRequest, call: Call) -> None:
        """Run a full reconciliation, or join the one that runs, and tell how far it is."""
        account_id = naming.account(self._engine, request.account_id)
        call.note(account_id=account_id)
        async for progress in self._engine.reconcile(account_id):
            if not await call.write(_progress_message(progress).SerializeToString()):
                raise too_slow()

    async def ListBrokerOrders(self, request: pb.ListBrokerOrdersRequest, call: Call) -> bytes:
        """One page of the broker's orders beside ours, newest first; the broker is asked for every page."""
        ask = broker_orders_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        account_id = naming.account(self._engine, ask.account_id)
        call.note(account_id=account_id)
        journal = self._engine.journal
        place = Place(request, journal.journal_id)
        asked = datetime.now(UTC)
        pairs = await self._engine.broker_orders(account_id)
        keyed = [(_key(pair, journal), pair) for pair in pairs if _is_wanted(pair, ask)]
        keyed.sort(key=lambda item: item[0], reverse=True)
        after_key = place.after_key
        if after_key is not None:
            keyed = [item for item in keyed if item[0] < after_key]
        answer = pb.ListBrokerOrdersResponse()
        set_time(answer.as_of_time, asked)
        entries = fitting((_entry(pair, journal) for _, pair in keyed[: ask.page_size]), pb.BrokerOrderEntry.ByteSize)
        answer.entries.extend(entries)
        if len(entries) < len(keyed):
            answer.next_page_token = place.token_after(keyed[len(entries) - 1][0])
        return answer.SerializeToString()

    async def ResumeAccount(self, request: pb.ResumeAccountRequest, call: Call) -> bytes:
        """Let a halted account trade again, with the operator's reason."""
        ask = resume_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        account_id = naming.account(self._engine, ask.account_id)
        call.note(account_id=account_id)
        status = await self._engine.resume_account(account_id, reason=ask.reason)
        return pb.ResumeAccountResponse(account=account_message(status)).SerializeToString()


Key = tuple[int, str]
"""Creation time in microseconds since 1970, then an id: the order of the list, and where a page ended."""


def _key(pair: PairedOrder, journal: Journal) -> Key:
    view = pair.view
    if view is not None:
        return (0 if view.created_time is None else _microseconds(view.created_time), view.broker_order_id)
    order = _local_order(pair, journal)
    return (order.created_time.ToMicroseconds(), pair.order_id)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _is_wanted(pair: PairedOrder, ask: BrokerOrdersAsk) -> bool:
    is_orphan = pair.view is None or not pair.order_id
    if ask.orphans_only and not is_orphan:
        return False
    return not ask.open_only or _is_open(pair)


def _is_open(pair: PairedOrder) -> bool:
    """Open on at least one side; a word of the broker's that we do not know counts as open."""
    theirs = None if pair.view is None else STATUS_OF[pair.view.phase]
    is_open_there = pair.view is not None and (theirs is None or theirs in OPEN)
    return is_open_there or pair.state in OPEN


def _local_order(pair: PairedOrder, journal: Journal) -> order_pb2.Order:
    data = journal.order_data(pair.order_id) if pair.order_id else None
    return order_pb2.Order.FromString(data or b"")


def _entry(pair: PairedOrder, journal: Journal) -> pb.BrokerOrderEntry:
    entry = pb.BrokerOrderEntry(agrees=pair.agrees, broker_json=pair.broker_json.decode(errors="replace"))
    if pair.order_id:
        entry.order.CopyFrom(_local_order(pair, journal))
    if pair.view is None:
        entry.orphan_side = pb.ORPHAN_SIDE_LOCAL_ONLY
        return entry
    entry.broker_order.CopyFrom(_broker_order(pair.view))
    if not pair.order_id:
        entry.orphan_side = pb.ORPHAN_SIDE_BROKER_ONLY
    return entry


def _broker_order(view: View) -> pb.BrokerOrder:
    message = pb.BrokerOrder(
        broker_order_id=view.broker_order_id,
        client_reference=view.client_order_id,
        symbol=view.symbol,
        filled_quantity=text_of(view.filled_quantity),
        average_fill_price=text_of(view.average_price),
        broker_status=view.status,
        status=_status(view),
    )
    if view.side is not None:
        message.side = enums.SIDE.number[view.side]
    if view.terms is not None:
        _add_terms(message, view.terms)
    set_time(message.created_time, view.created_time)
    if view.updated_ns:
        message.updated_time.CopyFrom(Timestamp(seconds=view.updated_ns // _NANOS, nanos=view.updated_ns % _NANOS))
    return message


def _add_terms(message: pb.BrokerOrder, terms: Terms) -> None:
    message.type = enums.TYPE.number[terms.type]
    message.time_in_force = enums.TIME_IN_FORCE.number[terms.time_in_force]
    message.quantity = text_of(terms.quantity)
    message.notional = text_of(terms.notional)
    message.limit_price = text_of(terms.limit_price)
    message.stop_price = text_of(terms.stop_price)


def _status(view: View) -> order_pb2.OrderStatus.ValueType:
    state = STATUS_OF[view.phase]
    if state is OrderState.ACCEPTED and view.filled_quantity > 0:
        state = OrderState.PARTIALLY_FILLED
    return order_pb2.ORDER_STATUS_UNSPECIFIED if state is None else enums.STATUS.number[state]


def _progress_message(progress: ReconcileProgress) -> pb.ReconcileResponse:
    return pb.ReconcileResponse(
        stage=pb.ReconcileStage.Value(f"RECONCILE_STAGE_{progress.stage}"),
        account_id=progress.account_id,
        broker_order_count=progress.broker_orders,
        local_order_count=progress.local_orders,
        booked_fill_count=progress.fills_booked,
        changed_order_count=progress.orders_changed,
        imported_order_count=progress.orders_imported,
        opened_discrepancy_count=progress.discrepancies_opened,
        message=progress.message,
    )
