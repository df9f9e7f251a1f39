"""The flags of an order, once for submit and preview, and the request they make."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orderd.cli import texts
from orderd.core.order import OrderClass, OrderType, PositionIntent, Side, TimeInForce

if TYPE_CHECKING:
    from oms.v1.order_pb2 import Leg
    from oms.v1.order_service_pb2 import SubmitOrderRequest

_MOST_RATIO = 10_000


def option(help_text: str, *, parser: Any = None, metavar: str | None = None) -> Any:  # noqa: ANN401 - typer's types
    """A flag named after its field, in any case where it is a word."""
    return typer.Option(parser=parser, metavar=metavar, help=help_text, case_sensitive=False)


@dataclass(frozen=True, kw_only=True)
class Intent:
    """What is asked for; names as in SubmitOrderRequest."""

    symbol: Annotated[
        str, option("AAPL, BRK.B, BTC/USD, AAPL250117C00150000.", parser=texts.symbol, metavar="SYMBOL")
    ] = ""
    side: Annotated[Side | None, option("Which way to trade.")] = None
    quantity: Annotated[str, option("Units to trade.", parser=texts.positive, metavar="DECIMAL")] = ""
    notional: Annotated[str, option("Money to trade, instead of units.", parser=texts.positive, metavar="DECIMAL")] = ""
    type: Annotated[
        OrderType | None, option("What makes it execute. Default: what the given prices say, else MARKET.")
    ] = None
    time_in_force: Annotated[TimeInForce, option("How long it works.")] = TimeInForce.DAY
    limit_price: Annotated[
        str,
        option("Limit price per unit; of several legs the net price.", parser=texts.decimal, metavar="DECIMAL"),
    ] = ""
    stop_price: Annotated[str, option("Stop price per unit.", parser=texts.positive, metavar="DECIMAL")] = ""
    trail_price: Annotated[
        str, option("Distance of a trailing stop, as a price.", parser=texts.positive, metavar="DECIMAL")
    ] = ""
    trail_percent: Annotated[
        str, option("Distance of a trailing stop, in percent.", parser=texts.positive, metavar="DECIMAL")
    ] = ""
    extended_hours: Annotated[bool, typer.Option("--extended-hours", help="Also outside the regular session.")] = False
    order_class: Annotated[OrderClass | None, option("How orders are tied together. Default: SIMPLE.")] = None
    take_profit_limit_price: Annotated[
        str, option("Where a bracket, OCO or OTO takes its profit.", parser=texts.positive, metavar="DECIMAL")
    ] = ""
    stop_loss_stop_price: Annotated[
        str, option("Where a bracket, OCO or OTO stops its loss.", parser=texts.positive, metavar="DECIMAL")
    ] = ""
    stop_loss_limit_price: Annotated[
        str, option("Worst price of that stop.", parser=texts.positive, metavar="DECIMAL")
    ] = ""
    leg: Annotated[
        list[str], option("A leg of a multi-leg order; repeat for each.", metavar="SYMBOL:SIDE[:RATIO[:INTENT]]")
    ] = field(default_factory=list[str])
    position_intent: Annotated[PositionIntent | None, option("Whether it opens or closes a position.")] = None
    account_id: Annotated[
        str, option("The account; needed when several are configured.", parser=texts.name, metavar="ID")
    ] = ""
    client_order_id: Annotated[
        str,
        option("The idempotency key. Default: a new one, which is printed.", parser=texts.key, metavar="KEY"),
    ] = ""
    trace_id: Annotated[str, option("Your trace id.", parser=texts.name, metavar="ID")] = ""
    decision_id: Annotated[str, option("The decision behind the order.", parser=texts.name, metavar="ID")] = ""
    decided_time: Annotated[datetime | None, option("When that was decided.", parser=texts.time, metavar="TIME")] = None
    strategy: Annotated[str, option("Name of the strategy.", parser=texts.name, metavar="NAME")] = ""
    tag: Annotated[list[str], option("A label; repeat for more.", metavar="KEY=VALUE")] = field(
        default_factory=list[str]
    )
    valid_until_time: Annotated[
        datetime | None, option("Do not send it after this moment.", parser=texts.time, metavar="TIME")
    ] = None
    reference_price: Annotated[
        str,
        option("Price to value the order with when there is no quote.", parser=texts.positive, metavar="DECIMAL"),
    ] = ""

    def request(self) -> "SubmitOrderRequest":
        """The request, complete but for its key."""
        from oms.v1 import order_pb2 as pb
        from oms.v1.order_service_pb2 import SubmitOrderRequest

        same = (
            "symbol", "quantity", "notional", "limit_price", "stop_price", "trail_price", "trail_percent",
            "extended_hours", "account_id", "client_order_id", "trace_id", "decision_id", "strategy", "reference_price",
        )  # fmt: skip
        request = SubmitOrderRequest(
            **{name: getattr(self, name) for name in same},
            type=pb.OrderType.Value(f"ORDER_TYPE_{self._type()}"),
            time_in_force=pb.TimeInForce.Value(f"TIME_IN_FORCE_{self.time_in_force}"),
            legs=[_leg(text) for text in self.leg],
            tags=texts.tags(self.tag),
        )
        if self.side is not None:
            request.side = pb.Side.Value(f"SIDE_{self.side}")
        if self.position_intent is not None:
            request.position_intent = pb.PositionIntent.Value(f"POSITION_INTENT_{self.position_intent}")
        self._tie(request)
        if self.decided_time is not None:
            request.decided_time.FromDatetime(self.decided_time)
        if self.valid_until_time is not None:
            request.valid_until_time.FromDatetime(self.valid_until_time)
        return request

    def _tie(self, request: "SubmitOrderRequest") -> None:
        from oms.v1 import order_pb2 as pb

        if self.order_class is not None or self.leg:
            request.order_class = pb.OrderClass.Value(f"ORDER_CLASS_{self.order_class or OrderClass.MULTILEG}")
        if self.take_profit_limit_price:
            request.take_profit.limit_price = self.take_profit_limit_price
        if self.stop_loss_stop_price:
            request.stop_loss.stop_price = self.stop_loss_stop_price
        if self.stop_loss_limit_price:
            request.stop_loss.limit_price = self.stop_loss_limit_price

    def _type(self) -> OrderType:
        if self.type is not None:
            return self.type
        if self.trail_price or self.trail_percent:
            return OrderType.TRAILING_STOP
        if self.stop_price:
            return OrderType.STOP_LIMIT if self.limit_price else OrderType.STOP
        return OrderType.LIMIT if self.limit_price else OrderType.MARKET

    def __str__(self) -> str:
        """The order in a line, for a question to the user."""
        what = self.symbol or " ".join(self.leg)
        price = "".join(
            f" {word} {value}" for word, value in (("limit", self.limit_price), ("stop", self.stop_price)) if value
        )
        much = self.quantity or f"{self.notional} of money in"
        return " ".join(f"{self.side or ''} {much} {what} {self._type()}{price} {self.time_in_force}".split())


def _leg(text: str) -> "Leg":
    from oms.v1 import order_pb2 as pb

    symbol, _, rest = text.partition(":")
    side, _, rest = rest.partition(":")
    ratio, _, intent = rest.partition(":")
    try:
        leg = pb.Leg(symbol=texts.symbol(symbol), ratio=int(ratio or "1"))
        leg.side = pb.Side.Value(f"SIDE_{Side(side.upper())}")
        if intent:
            leg.position_intent = pb.PositionIntent.Value(f"POSITION_INTENT_{PositionIntent(intent.upper())}")
    except (ValueError, typer.BadParameter):
        leg = pb.Leg()
    if not 1 <= leg.ratio <= _MOST_RATIO:
        raise typer.BadParameter(
            f"{text!r} is not SYMBOL:SIDE[:RATIO[:INTENT]], such as AAPL250117C00150000:BUY:1:BUY_TO_OPEN",
            param_hint="--leg",
        )
    return leg
