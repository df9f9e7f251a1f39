"""What a decision would send, from flags or from a file: the flags of `orderd decision record`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orderd.cli import texts
from orderd.cli.intent import option
from orderd.core.order import OrderType, TimeInForce

if TYPE_CHECKING:
    from oms.v1 import order_pb2
    from oms.v1.decision_service_pb2 import DecisionIntent, RecordDecisionRequest

MOST_BYTES = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class SentFor:
    """The intent: one of an order, a trade, the end of one, or any of them as JSON."""

    intent: Annotated[
        str,
        typer.Option(metavar="FILE", help="The intent as JSON, names as in DecisionIntent; - reads it from stdin."),
    ] = ""
    quantity: Annotated[str, option("Units of its order or trade.", parser=texts.positive, metavar="DECIMAL")] = ""
    type: Annotated[OrderType | None, option("What makes it execute. Default: LIMIT with a price, else MARKET.")] = None
    time_in_force: Annotated[TimeInForce, option("How long it works.")] = TimeInForce.DAY
    limit_price: Annotated[str, option("Limit price of its order.", parser=texts.positive, metavar="DECIMAL")] = ""
    reference_price: Annotated[
        str, option("Price to value its order with when there is no quote.", parser=texts.positive, metavar="DECIMAL")
    ] = ""
    entry_price: Annotated[
        str, option("Open a trade: the price at which to enter.", parser=texts.positive, metavar="DECIMAL")
    ] = ""
    stop_loss_price: Annotated[
        str, option("Open a trade: the price of its protective stop.", parser=texts.positive, metavar="DECIMAL")
    ] = ""
    close: Annotated[bool, typer.Option("--close", help="Close the linked trade, or --quantity of it.")] = False

    def into(self, request: "RecordDecisionRequest") -> None:
        """Write the intent into the request, if there is one."""
        kinds = {
            "--intent": bool(self.intent),
            "--close": self.close,
            "--entry-price and --stop-loss-price": bool(self.entry_price or self.stop_loss_price),
        }
        given = [flag for flag, is_given in kinds.items() if is_given]
        if len(given) > 1:
            raise typer.BadParameter(f"only one of these says what to send: {', '.join(given)}")
        if self.intent:
            request.intent.CopyFrom(_read(self.intent))
        elif self.close:
            closing = request.intent.close_trade
            closing.trade_id = request.linked_trade_id
            closing.quantity = self.quantity
        elif given:
            self._open(request)
        elif self.quantity:
            self._order(request)

    def _open(self, request: "RecordDecisionRequest") -> None:
        opening = request.intent.open_trade
        opening.quantity = self.quantity
        signal = opening.signal
        signal.symbol, signal.side = request.symbol, request.side
        signal.entry_price, signal.stop_loss_price = self.entry_price, self.stop_loss_price
        signal.type, signal.time_in_force = self._type(OrderType.LIMIT), self._time_in_force()

    def _order(self, request: "RecordDecisionRequest") -> None:
        order = request.intent.submit_order
        order.symbol, order.side, order.quantity = request.symbol, request.side, self.quantity
        order.limit_price, order.reference_price = self.limit_price, self.reference_price
        order.type = self._type(OrderType.LIMIT if self.limit_price else OrderType.MARKET)
        order.time_in_force = self._time_in_force()

    def _type(self, default: OrderType) -> "order_pb2.OrderType.ValueType":
        from oms.v1 import order_pb2

        return order_pb2.OrderType.Value(f"ORDER_TYPE_{self.type or default}")

    def _time_in_force(self) -> "order_pb2.TimeInForce.ValueType":
        from oms.v1 import order_pb2

        return order_pb2.TimeInForce.Value(f"TIME_IN_FORCE_{self.time_in_force}")


def _read(name: str) -> "DecisionIntent":
    from google.protobuf.json_format import Parse, ParseError

    from oms.v1.decision_service_pb2 import DecisionIntent

    try:
        text = sys.stdin.read(MOST_BYTES) if name == "-" else Path(name).read_text(encoding="utf-8")
        return Parse(text[:MOST_BYTES], DecisionIntent())
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{name} cannot be read: {error}", param_hint="--intent") from None
    except (ParseError, RecursionError) as error:
        raise typer.BadParameter(f"{name} is no DecisionIntent as JSON: {error}", param_hint="--intent") from None
