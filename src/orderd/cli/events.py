"""`orderd event watch`: follow events over restarts of the server."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from orderd.cli import texts
from orderd.cli.connection import Connection
from orderd.cli.exits import BY_STATUS, Exit, Failure
from orderd.cli.flags import command, say
from orderd.cli.intent import option
from orderd.cli.render import Output
from orderd.core.order import ENDED

if TYPE_CHECKING:
    from oms.v1.order_pb2 import OrderEvent, OrderStatus
    from oms.v1.order_service_pb2 import StreamOrderEventsRequest
    from orderd.client import Client, Follower, OrderdError

event = typer.Typer(no_args_is_help=True, help="Follow what happens to orders.")


@dataclass(frozen=True, kw_only=True)
class EventFilter:
    """Which events: AND between flags, OR inside one that is repeated."""

    account_id: Annotated[list[str], option("Account; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    order_id: Annotated[list[str], option("Our order id; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    symbol: Annotated[list[str], option("Symbol; repeat for more.", parser=texts.symbol, metavar="SYMBOL")] = field(
        default_factory=list[str]
    )
    strategy: Annotated[list[str], option("Strategy; repeat for more.", parser=texts.name, metavar="NAME")] = field(
        default_factory=list[str]
    )
    trace_id: Annotated[list[str], option("Trace id; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    decision_id: Annotated[list[str], option("Decision; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    trade_id: Annotated[list[str], option("Trade; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )

    def request(self) -> "StreamOrderEventsRequest":
        """The request without its position."""
        from oms.v1.order_service_pb2 import StreamOrderEventsRequest

        return StreamOrderEventsRequest(
            account_ids=self.account_id,
            order_ids=self.order_id,
            symbols=self.symbol,
            strategies=self.strategy,
            trace_ids=self.trace_id,
            decision_ids=self.decision_id,
            trade_ids=self.trade_id,
        )


@dataclass(frozen=True, kw_only=True)
class Position:
    """Where to begin and when to stop."""

    after: Annotated[
        int | None,
        typer.Option(
            "--after", min=0, max=2**63 - 1, metavar="SEQ", help="Begin after this sequence; 0: with the first."
        ),
    ] = None
    journal_id: Annotated[
        str, option("The journal of that sequence; another one ends the command.", parser=texts.name, metavar="ID")
    ] = ""
    snapshot: Annotated[
        bool, typer.Option("--snapshot", help="First print the matching open orders, then what happens after.")
    ] = False
    until_terminal: Annotated[
        bool,
        typer.Option("--until-terminal", help="Stop when every --order-id has ended; without one, at the first end."),
    ] = False
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Stop after so many events.")] = None


@command(event)
async def watch(which: EventFilter, position: Position, connection: Connection, output: Output) -> None:
    """Print events as they happen. Reconnects by itself, without a gap or a repeat, and says so on stderr."""
    _check(position)
    request = which.request()
    request.journal_id = position.journal_id
    async with connection.client() as client:
        await client.ready()
        ends = _Ends(which.order_id)
        after = position.after
        if position.until_terminal and which.order_id and after is None:
            after = await ends.look_up(client)
        if not ends.are_reached:
            async with client.follow(
                request, after_sequence=after, snapshot=position.snapshot, on_reconnect=Reconnects().say
            ) as follower:
                await _print(follower, output, position, ends)
    if position.until_terminal:
        ends.finish()


def _check(position: Position) -> None:
    if position.snapshot and position.after is not None:
        raise typer.BadParameter("a snapshot is as of now: leave --after or --snapshot away")
    if position.snapshot and position.until_terminal:
        raise typer.BadParameter("a snapshot does not show what has ended: leave --until-terminal or --snapshot away")


async def _print(follower: "Follower", output: Output, position: Position, ends: "_Ends") -> None:
    from oms.v1.order_pb2 import Order, OrderEvent

    try:
        if position.snapshot:
            open_orders = output.stream(Order)
            for order in await follower.snapshot():
                open_orders.write(order)
        stream = output.stream(OrderEvent)
        left = position.limit
        async for found in follower:
            stream.write(found)
            ends.take(found)
            left = None if left is None else left - 1
            if left == 0 or (position.until_terminal and ends.are_reached):
                return
    finally:
        if follower.journal_id:
            say(f"to go on: --after {follower.sequence} --journal-id {follower.journal_id}")


class Reconnects:
    """Tells each interruption once, not each attempt: a server that is away for an hour fills no screen."""

    def __init__(self) -> None:
        """Nothing is told yet."""
        self._told: tuple[int, str] | None = None

    def say(self, after: int, error: "OrderdError") -> None:
        """Tell it unless it is what was told last."""
        if (after, error.code.name) != self._told:
            self._told = (after, error.code.name)
            say(f"reconnecting after sequence {after}: {error}")


class _Ends:
    """Which of the orders have ended, and how. Without orders: whether any has."""

    def __init__(self, order_ids: list[str]) -> None:
        """All of them are waited for."""
        self._waited_for = set(order_ids)
        self._is_any = not order_ids
        self._worst = Exit.OK

    @property
    def are_reached(self) -> bool:
        """Whether nothing is left to wait for."""
        return not self._waited_for and not self._is_any

    async def look_up(self, client: "Client") -> int:
        """Take note of orders that have ended already; returns the sequence to follow the others from."""
        from oms.v1.order_service_pb2 import GetOrderRequest

        found = [(await client.get(GetOrderRequest(order_id=o))).order for o in sorted(self._waited_for)]
        for order in found:
            self._note(order.order_id, order.status)
        return min(order.sequence for order in found)

    def take(self, event: "OrderEvent") -> None:
        """Take note of an event."""
        self._note(event.order_id, event.to_status)

    def _note(self, order_id: str, status: "OrderStatus.ValueType") -> None:
        from oms.v1.order_pb2 import OrderStatus

        word = OrderStatus.Name(status).removeprefix("ORDER_STATUS_")
        if word in ENDED:
            self._waited_for.discard(order_id)
            self._is_any = False
            self._worst = max(self._worst, BY_STATUS.get(word, Exit.OK))

    def finish(self) -> None:
        """End with the code of the worst end."""
        if self._worst is not Exit.OK:
            raise Failure(self._worst)
