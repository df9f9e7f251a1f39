"""The flags of a signal and of the trade to open from it, and the request they make."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from orderd.cli import texts
from orderd.cli.intent import option
from orderd.core.order import OrderType, Side, TimeInForce
from orderd.core.trade import OnEntryEnd, OnPartial

if TYPE_CHECKING:
    from oms.v1.trade_service_pb2 import OpenTradeRequest, Signal


@dataclass(frozen=True, kw_only=True)
class TradeSignal:
    """What is asked for; names as in Signal and OpenTradeRequest."""

    symbol: Annotated[
        str, option("AAPL, BRK.B, BTC/USD, AAPL250117C00150000.", parser=texts.symbol, metavar="SYMBOL")
    ] = ""
    side: Annotated[Side | None, option("Side of the entry.")] = None
    entry_price: Annotated[
        str, option("Price at which to enter; a market entry is sized by it.", parser=texts.positive, metavar="DECIMAL")
    ] = ""
    stop_loss_price: Annotated[
        str, option("Price of the protective stop.", parser=texts.positive, metavar="DECIMAL")
    ] = ""
    type: Annotated[OrderType, option("MARKET, or LIMIT or STOP at the entry price.")] = OrderType.LIMIT
    time_in_force: Annotated[TimeInForce, option("How long the entry works.")] = TimeInForce.DAY
    extended_hours: Annotated[
        bool, typer.Option("--extended-hours", help="The entry may execute outside the regular session, too.")
    ] = False
    strategy: Annotated[str, option("Name of the strategy.", parser=texts.name, metavar="NAME")] = ""
    signal_time: Annotated[datetime | None, option("When the signal was seen.", parser=texts.time, metavar="TIME")] = (
        None
    )
    max_candles: Annotated[
        int,
        typer.Option(min=0, max=1_000_000, metavar="N", help="Candles that a pending entry waits for. 0: not counted."),
    ] = 0
    quantity: Annotated[
        str, option("Units of the entry. Default: sized by the risk.", parser=texts.positive, metavar="DECIMAL")
    ] = ""
    on_partial: Annotated[
        OnPartial | None,
        option("The rest of a partly filled entry, where a stop cannot stand beside it. Default: CANCEL_REST."),
    ] = None
    on_entry_end: Annotated[
        OnEntryEnd | None, option("What an entry that ended partly filled has bought. Default: CLOSE.")
    ] = None
    accept_unprotected: Annotated[
        bool, typer.Option("--accept-unprotected", help="Hold it without a stop where no stop can rest.")
    ] = False
    account_id: Annotated[
        str, option("The account; needed when several are configured.", parser=texts.name, metavar="ID")
    ] = ""
    client_trade_id: Annotated[
        str, option("The idempotency key. Default: a new one, which is printed.", parser=texts.key, metavar="KEY")
    ] = ""
    trace_id: Annotated[str, option("Your trace id.", parser=texts.name, metavar="ID")] = ""
    decision_id: Annotated[str, option("The decision behind the trade.", parser=texts.name, metavar="ID")] = ""
    tag: Annotated[list[str], option("A label; repeat for more.", metavar="KEY=VALUE")] = field(
        default_factory=list[str]
    )

    def request(self) -> "OpenTradeRequest":
        """The request, complete but for its key."""
        from oms.v1 import trade_service_pb2 as pb

        request = pb.OpenTradeRequest(
            account_id=self.account_id,
            client_trade_id=self.client_trade_id,
            decision_id=self.decision_id,
            trace_id=self.trace_id,
            signal=self._signal(),
            quantity=self.quantity,
            accept_unprotected=self.accept_unprotected,
            tags=texts.tags(self.tag),
        )
        if self.on_partial is not None:
            request.on_partial = pb.OnPartial.Value(f"ON_PARTIAL_{self.on_partial}")
        if self.on_entry_end is not None:
            request.on_entry_end = pb.OnEntryEnd.Value(f"ON_ENTRY_END_{self.on_entry_end}")
        return request

    def _signal(self) -> "Signal":
        from oms.v1 import order_pb2
        from oms.v1.trade_service_pb2 import Signal

        signal = Signal(
            symbol=self.symbol,
            entry_price=self.entry_price,
            stop_loss_price=self.stop_loss_price,
            type=order_pb2.OrderType.Value(f"ORDER_TYPE_{self.type}"),
            time_in_force=order_pb2.TimeInForce.Value(f"TIME_IN_FORCE_{self.time_in_force}"),
            strategy=self.strategy,
            max_candles=self.max_candles,
            extended_hours=self.extended_hours,
        )
        if self.side is not None:
            signal.side = order_pb2.Side.Value(f"SIDE_{self.side}")
        if self.signal_time is not None:
            signal.signal_time.FromDatetime(self.signal_time)
        return signal

    def __str__(self) -> str:
        """The trade in a line, for a question to the user."""
        much = self.quantity or "as much as the risk allows of"
        return f"{self.side or ''} {much} {self.symbol} {self.type} {self.entry_price}, stop {self.stop_loss_price}"
