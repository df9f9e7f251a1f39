"""StreamOrderEvents: the orders' events, for one subscriber (subscription.py has the rules)."""

from collections.abc import Sequence
from typing import Final

from oms.v1 import order_pb2
from oms.v1 import order_service_pb2 as pb
from orderd.engine.api import Engine
from orderd.engine.errors import EngineError, Kind
from orderd.ports import Entry, OrderFilter
from orderd.server import naming
from orderd.server.call import Call
from orderd.server.errors import invalid
from orderd.server.subscription import SharedParts, Subscription, check_position, runs
from orderd.wire import splice
from orderd.wire.asks import Invalid, StreamAsk
from orderd.wire.validate_queries import stream_ask

MAX_SNAPSHOT_ORDERS: Final = 20_000


class OrderStreams:
    """StreamOrderEvents."""

    def __init__(self, engine: Engine) -> None:
        """All subscribers share the engine's feed and what `SharedParts` keeps."""
        self._engine = engine
        self._shared = SharedParts()

    async def StreamOrderEvents(self, request: pb.StreamOrderEventsRequest, call: Call) -> None:
        """Serve one subscriber until it leaves, falls behind or the server leaves."""
        ask = stream_ask(request)
        if isinstance(ask, Invalid):
            raise invalid(ask)
        naming.check_known(self._engine, ask.account_ids)
        call.note(trace_id=",".join(ask.trace_ids[:1]))
        check_position(self._engine, ask)
        wanted = WantedOrders(ask)
        if ask.with_snapshot:
            await _WithSnapshot(self._engine, call, ask, wanted=wanted, shared=self._shared).run()
        await Subscription(self._engine, call, ask, wanted=wanted, shared=self._shared).run()


class _WithSnapshot(Subscription):
    """One that begins with every matching open order."""

    _wanted: "WantedOrders"

    async def start(self) -> None:
        """One read transaction, copied and then sent: no event can fall between it and what follows."""
        await self.begin(self._feed.head, 0)
        page = await self._engine.journal.snapshot(self._wanted.open_orders(), limit=MAX_SNAPSHOT_ORDERS)
        if page.has_more:
            raise EngineError(
                Kind.EXHAUSTED,
                "SNAPSHOT_TOO_LARGE",
                f"more than {MAX_SNAPSHOT_ORDERS} open orders match; narrow the filters",
            )
        bodies = [row.data for row in page.rows if self._wanted.has_order(row.data)]
        for first, end in runs(bodies):
            await self.send(splice.snapshot_response_bytes(bodies[first:end]), sequence=0)
        self.go_on_from(page.sequence)
        await self.send(splice.snapshot_end_response_bytes(page.sequence), sequence=page.sequence)


class WantedOrders:
    """Orders' events, and the filters of one subscriber: AND between fields, OR inside one, empty = all."""

    def __init__(self, ask: StreamAsk) -> None:
        """Keep the fields that say something."""
        fields = {
            "account_id": ask.account_ids,
            "order_id": ask.order_ids,
            "symbol": ask.symbols,
            "strategy": ask.strategies,
            "trace_id": ask.trace_ids,
            "decision_id": ask.decision_ids,
            "trade_id": ask.trade_ids,
        }
        self._ask = ask
        self._fields = [(name, frozenset(values)) for name, values in fields.items() if values]
        self.everything = not self._fields

    def chosen(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """See `Wanted.chosen`."""
        of_orders = [entry for entry in entries if entry.record_kind is None]
        return of_orders if self.everything else [entry for entry in of_orders if self._has(entry)]

    def _has(self, entry: Entry) -> bool:
        return all(getattr(entry, name) in values for name, values in self._fields)

    def open_orders(self) -> OrderFilter:
        """The open orders that match, but for the order ids, which `has_order` looks at."""
        ask = self._ask
        return OrderFilter(
            open_only=True,
            account_ids=ask.account_ids,
            symbols=ask.symbols,
            strategies=ask.strategies,
            trace_ids=ask.trace_ids,
            decision_ids=ask.decision_ids,
            trade_ids=ask.trade_ids,
        )

    def has_order(self, data: bytes) -> bool:
        """Whether the order ids of the filter, if there are any, name this order."""
        return not self._ask.order_ids or order_pb2.Order.FromString(data).order_id in self._ask.order_ids
