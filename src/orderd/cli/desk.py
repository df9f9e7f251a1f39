"""`orderd desk watch`: follow decisions, trades, results and risk over restarts of the server."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from orderd.cli import texts
from orderd.cli.connection import Connection
from orderd.cli.events import Reconnects
from orderd.cli.flags import command, say
from orderd.cli.intent import option
from orderd.cli.render import Output

if TYPE_CHECKING:
    from oms.v1.trade_service_pb2 import StreamDeskEventsRequest
    from orderd.client import DeskFollower

desk = typer.Typer(no_args_is_help=True, help="Follow decisions, trades, results and risk.")


@dataclass(frozen=True, kw_only=True)
class DeskFilter:
    """Which events: AND between flags, OR inside one that is repeated."""

    account_id: Annotated[list[str], option("Account; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    event_type: Annotated[
        list[str], option("What happened, such as TRADE_CLOSED; repeat for more.", metavar="TYPE")
    ] = field(default_factory=list[str])
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

    def request(self) -> "StreamDeskEventsRequest":
        """The request without its position."""
        from oms.v1 import trade_service_pb2 as pb

        types = pb.DeskEventType.DESCRIPTOR.values_by_name
        wanted = [f"DESK_EVENT_TYPE_{word.upper()}" for word in self.event_type]
        for word, name in zip(self.event_type, wanted, strict=True):
            if name not in types or not types[name].number:
                known = ", ".join(each.removeprefix("DESK_EVENT_TYPE_") for each in list(types)[1:])
                raise typer.BadParameter(f"{word!r} is not one of {known}", param_hint="--event-type")
        return pb.StreamDeskEventsRequest(
            account_ids=self.account_id,
            types=[pb.DeskEventType.Value(name) for name in wanted],
            symbols=self.symbol,
            strategies=self.strategy,
            trace_ids=self.trace_id,
            decision_ids=self.decision_id,
            trade_ids=self.trade_id,
        )


@command(desk)
async def watch(
    which: DeskFilter,
    connection: Connection,
    output: Output,
    *,
    after: Annotated[
        int | None,
        typer.Option(
            "--after", min=0, max=2**63 - 1, metavar="SEQ", help="Begin after this sequence; 0: with the first."
        ),
    ] = None,
    journal_id: Annotated[
        str, option("The journal of that sequence; another one ends the command.", parser=texts.name, metavar="ID")
    ] = "",
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Stop after so many events.")] = None,
) -> None:
    """Print what the desk does as it happens. Reconnects by itself, without a gap or a repeat, and says so on stderr.

    The sequence is that of `orderd event watch`: both are one journal.
    """
    request = which.request()
    request.journal_id = journal_id
    async with connection.client() as client:
        await client.ready()
        async with client.follow_desk(request, after_sequence=after, on_reconnect=Reconnects().say) as follower:
            await _print(follower, output, limit)


async def _print(follower: "DeskFollower", output: Output, left: int | None) -> None:
    from oms.v1.trade_service_pb2 import DeskEvent

    stream = output.stream(DeskEvent)
    try:
        async for found in follower:
            stream.write(found)
            left = None if left is None else left - 1
            if left == 0:
                return
    finally:
        if follower.journal_id:
            say(f"to go on: --after {follower.sequence} --journal-id {follower.journal_id}")
