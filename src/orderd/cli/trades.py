"""`orderd trade …`: open, protect, close, and look at trades."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from orderd.cli import texts
from orderd.cli.accounts import AccountId
from orderd.cli.asking import Consent, ask_before_live
from orderd.cli.connection import Connection
from orderd.cli.exits import BY_STATUS, Exit, Failure, failure_of
from orderd.cli.flags import command, say
from orderd.cli.intent import option
from orderd.cli.orders import MOST_IN_A_PAGE, DryRun, Limit, NoWait, Reason, first, wait_for
from orderd.cli.render import Output
from orderd.cli.signals import TradeSignal
from orderd.core.trade import TradeState

if TYPE_CHECKING:
    from oms.v1.order_pb2 import Order
    from oms.v1.trade_service_pb2 import (
        CloseTradeResponse,
        GetTradeRequest,
        ListTradesRequest,
        OpenTradeResponse,
        Trade,
    )
    from orderd.client import Client, OrderdError

trade = typer.Typer(no_args_is_help=True, help="Open, protect and close trades: an entry, its stop and its exit.")

RequestKey = Annotated[
    str, option("The key of this request. Default: a new one, which is printed.", parser=texts.key, metavar="KEY")
]


@dataclass(frozen=True, kw_only=True)
class TradeKey:
    """Which trade: by our id, or by its idempotency key."""

    trade_id: Annotated[str, typer.Argument(parser=texts.name, metavar="[TRADE_ID]", help="Our id of the trade.")] = ""
    client_trade_id: Annotated[
        str, option("Its idempotency key, instead of TRADE_ID.", parser=texts.key, metavar="KEY")
    ] = ""
    account_id: Annotated[
        str, option("The account of that key; needed when several are configured.", parser=texts.name, metavar="ID")
    ] = ""

    def check(self) -> None:
        """End the command unless exactly one trade is named."""
        if bool(self.trade_id) is bool(self.client_trade_id):
            raise typer.BadParameter("name one trade: TRADE_ID or --client-trade-id")

    def request(self) -> "GetTradeRequest":
        """The read that names it."""
        from oms.v1.trade_service_pb2 import GetTradeRequest

        self.check()
        request = GetTradeRequest(account_id=self.account_id)
        if self.trade_id:
            request.trade_id = self.trade_id
        else:
            request.client_trade_id = self.client_trade_id
        return request

    async def asked_about(self, client: "Client", what: str, consent: Consent) -> str:
        """Its id, once it was said whose money it is and, where somebody can answer, asked."""
        found = (await client.trade(self.request())).trade
        what = f"{what} trade {found.trade_id} in {found.signal.symbol}"
        await ask_before_live(client, found.account_id, what, consent)
        return found.trade_id


@command(trade, "open")
async def open_(
    signal: TradeSignal,
    connection: Connection,
    consent: Consent,
    output: Output,
    *,
    no_wait: NoWait = False,
    dry_run: DryRun = False,
) -> None:
    """Open a trade from a signal and print it with its entry. The stop follows the fills by itself.

    Without --quantity it is sized from the risk settings. A trade that is denied is printed too; the exit code tells.
    To repeat after a deadline or a lost connection, give the printed --client-trade-id: it is never a second trade.
    """
    from orderd.client import OrderdError, keyed_trade

    request = signal.request()
    request.wait = wait_for(no_wait=no_wait)
    if dry_run:
        output.one(request)
        return
    async with connection.client() as client:
        await ask_before_live(client, signal.account_id, str(signal), consent)
        request = keyed_trade(request)
        key = request.client_trade_id
        if key and not signal.client_trade_id:
            say(f"client_trade_id {key}")
        try:
            answer = await client.open_trade(request)
        except OrderdError as error:
            raise _with_advice(error, f"--client-trade-id {key}" if key else "the same ids") from None
    if answer.replayed:
        say("replayed: this key had been used before; no second trade was made")
    output.one(answer)
    _end_of_open(answer)


def _with_advice(error: "OrderdError", again: str) -> Failure:
    failure = failure_of(error)
    if failure.code in {Exit.DEADLINE, Exit.UNAVAILABLE}:
        failure.text += f"\n  it may have been recorded: repeat the command with {again}"
    return failure


def _end_of_open(answer: "OpenTradeResponse") -> None:
    """A trade that never opened is a no; so is its entry's; an entry of unknown outcome is said."""
    from oms.v1.trade_service_pb2 import TRADE_STATE_NEVER_OPENED

    opened = answer.trade
    if answer.HasField("entry_order"):
        _end_by(answer.entry_order, f"the entry of trade {opened.trade_id}")
    elif opened.state == TRADE_STATE_NEVER_OPENED:
        raise Failure(Exit.REFUSED, f"NEVER_OPENED: {_why(opened)}")


def _end_by(order: "Order", what: str) -> None:
    from oms.v1.order_pb2 import OrderStatus

    status = OrderStatus.Name(order.status).removeprefix("ORDER_STATUS_")
    code = BY_STATUS.get(status, Exit.OK)
    if code is not Exit.OK:
        raise Failure(code, f"{what} is {status}: {_why(order)}")


def _why(found: "Trade | Order") -> str:
    return ": ".join(part for part in (found.status_reason.code, found.status_reason.message) if part)


@command(trade)
async def close(  # noqa: PLR0913 - its flags
    which: TradeKey,
    connection: Connection,
    consent: Consent,
    output: Output,
    *,
    quantity: Annotated[str, option("How much of it. Default: all.", parser=texts.positive, metavar="DECIMAL")] = "",
    request_id: RequestKey = "",
    decision_id: Annotated[str, option("The decision to exit.", parser=texts.name, metavar="ID")] = "",
    reason: Reason = "",
    no_wait: NoWait = False,
    dry_run: DryRun = False,
) -> None:
    """Close a trade or a part of it: its stop is cancelled with proof, then an exit is sent for what is held.

    Never more than is held is sold, however often it is called. Exit code 5: it is not over yet.
    """
    import uuid

    from oms.v1.trade_service_pb2 import CloseTradeRequest
    from orderd.client import OrderdError

    request = CloseTradeRequest(
        trade_id=which.trade_id,
        quantity=quantity,
        reason=reason,
        request_id=request_id or str(uuid.uuid4()),
        decision_id=decision_id,
        wait=wait_for(no_wait=no_wait),
    )
    which.check()
    if dry_run:
        output.one(request)
        return
    async with connection.client() as client:
        request.trade_id = await which.asked_about(client, f"close {quantity or 'all'} of", consent)
        if not request_id:
            say(f"request_id {request.request_id}")
        try:
            answer = await client.close_trade(request)
        except OrderdError as error:
            raise _with_advice(error, f"--request-id {request.request_id}") from None
    output.one(answer)
    if not no_wait:
        _end_of_close(answer, is_whole=not quantity)


def _end_of_close(answer: "CloseTradeResponse", *, is_whole: bool) -> None:
    from oms.v1 import trade_service_pb2 as pb

    state = answer.trade.state
    if state == pb.TRADE_STATE_CLOSING:
        text = f"CLOSING: {_why(answer.trade)}\n  it goes on by itself: watch it, or repeat with the same --request-id"
        raise Failure(Exit.UNKNOWN, text)
    if answer.HasField("exit_order"):
        _end_by(answer.exit_order, "the exit")
    if is_whole and state == pb.TRADE_STATE_OPEN:
        raise Failure(Exit.PARTIAL, f"{answer.trade.open_quantity} is still held: {_why(answer.trade)}")


@command(trade, "move-stop")
async def move_stop(  # noqa: PLR0913 - its flags
    which: TradeKey,
    connection: Connection,
    consent: Consent,
    output: Output,
    *,
    stop_price: Annotated[str, option("The new price of the stop.", parser=texts.positive, metavar="DECIMAL")],
    request_id: RequestKey = "",
    reason: Reason = "",
    dry_run: DryRun = False,
) -> None:
    """Move the stop of a trade in place and print the trade. The stop itself follows with the broker's word."""
    import uuid

    from oms.v1.trade_service_pb2 import MoveStopRequest
    from orderd.client import OrderdError

    request = MoveStopRequest(
        trade_id=which.trade_id, stop_price=stop_price, request_id=request_id or str(uuid.uuid4()), reason=reason
    )
    which.check()
    if dry_run:
        output.one(request)
        return
    async with connection.client() as client:
        request.trade_id = await which.asked_about(client, f"stop at {stop_price} for", consent)
        if not request_id:
            say(f"request_id {request.request_id}")
        try:
            output.one(await client.move_stop(request))
        except OrderdError as error:
            raise _with_advice(error, f"--request-id {request.request_id}") from None


@command(trade)
async def rearm(
    which: TradeKey,
    connection: Connection,
    consent: Consent,
    output: Output,
    *,
    stop_price: Annotated[
        str, option("Price of the stop. Default: the one it had.", parser=texts.positive, metavar="DECIMAL")
    ] = "",
    reason: Reason = "",
    dry_run: DryRun = False,
) -> None:
    """Protect a trade again whose stop somebody has cancelled, and print the trade."""
    from oms.v1.trade_service_pb2 import RearmStopRequest

    request = RearmStopRequest(trade_id=which.trade_id, stop_price=stop_price, reason=reason)
    which.check()
    if dry_run:
        output.one(request)
        return
    async with connection.client() as client:
        request.trade_id = await which.asked_about(client, "a stop for", consent)
        output.one(await client.rearm_stop(request))


@command(trade)
async def get(which: TradeKey, connection: Connection, output: Output) -> None:
    """Print one trade with its orders, fills, results and decision."""
    request = which.request()
    async with connection.client() as client:
        output.one(await client.trade(request))


@dataclass(frozen=True, kw_only=True)
class TradeFilter:
    """Which trades: AND between flags, OR inside one that is repeated."""

    account_id: Annotated[list[str], option("Account; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    state: Annotated[list[TradeState], option("State; repeat for more.")] = field(default_factory=list[TradeState])
    open_only: Annotated[bool, typer.Option("--open", help="Only trades that are not over.")] = False
    symbol: Annotated[list[str], option("Symbol; repeat for more.", parser=texts.symbol, metavar="SYMBOL")] = field(
        default_factory=list[str]
    )
    strategy: Annotated[list[str], option("Strategy; repeat for more.", parser=texts.name, metavar="NAME")] = field(
        default_factory=list[str]
    )
    decision_id: Annotated[list[str], option("Decision; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    trace_id: Annotated[list[str], option("Trace id; repeat for more.", parser=texts.name, metavar="ID")] = field(
        default_factory=list[str]
    )
    created_after_time: Annotated[datetime | None, option("Created after then.", parser=texts.time, metavar="TIME")] = (
        None
    )
    created_before_time: Annotated[
        datetime | None, option("Created before then.", parser=texts.time, metavar="TIME")
    ] = None

    def request(self) -> "ListTradesRequest":
        """The request without its page."""
        from oms.v1 import trade_service_pb2 as pb

        request = pb.ListTradesRequest(
            account_ids=self.account_id,
            states=[pb.TradeState.Value(f"TRADE_STATE_{state}") for state in self.state],
            open_only=self.open_only,
            symbols=self.symbol,
            strategies=self.strategy,
            decision_ids=self.decision_id,
            trace_ids=self.trace_id,
        )
        if self.created_after_time is not None:
            request.created_after_time.FromDatetime(self.created_after_time)
        if self.created_before_time is not None:
            request.created_before_time.FromDatetime(self.created_before_time)
        return request


@command(trade, "list")
async def list_(which: TradeFilter, connection: Connection, output: Output, limit: Limit = 50) -> None:
    """Print trades, newest first."""
    from oms.v1.trade_service_pb2 import Trade

    request = which.request()
    request.page_size = min(limit, MOST_IN_A_PAGE)
    async with connection.client() as client:
        await output.many(first(limit, client.trades(request)), Trade)


@dataclass(frozen=True, kw_only=True)
class PendingFilter:
    """Which pending entries; all when nothing is given."""

    symbol: Annotated[
        list[str], option("Only this symbol; repeat for more.", parser=texts.symbol, metavar="SYMBOL")
    ] = field(default_factory=list[str])
    strategy: Annotated[
        list[str], option("Only this strategy; repeat for more.", parser=texts.name, metavar="NAME")
    ] = field(default_factory=list[str])


@command(trade)
async def candle(
    which: PendingFilter,
    connection: Connection,
    output: Output,
    account_id: AccountId = "",
    *,
    candle_time: Annotated[
        datetime, option("When the candle ended; the same one is counted once.", parser=texts.time, metavar="TIME")
    ],
    dry_run: DryRun = False,
) -> None:
    """Count a candle for pending entries and print their trades. Those that waited for too many are cancelled."""
    from oms.v1.trade_service_pb2 import AdvanceCandleRequest, Trade

    request = AdvanceCandleRequest(account_id=account_id, symbols=which.symbol, strategies=which.strategy)
    request.candle_time.FromDatetime(candle_time)
    if dry_run:
        output.one(request)
        return
    async with connection.client() as client:
        answer = await client.advance_candle(request)
    await output.many(answer.trades, Trade)
    for trade_id in answer.canceled_trade_ids:
        say(f"the entry of trade {trade_id} is being cancelled")


@command(trade, "cancel-pending")
async def cancel_pending(
    which: PendingFilter,
    connection: Connection,
    consent: Consent,
    output: Output,
    account_id: AccountId = "",
    *,
    reason: Reason = "",
    dry_run: DryRun = False,
) -> None:
    """Ask for the cancel of entries that have no fill yet and print what came of each."""
    from oms.v1.order_service_pb2 import CancelAllOrdersResult
    from oms.v1.trade_service_pb2 import CancelPendingEntriesRequest

    request = CancelPendingEntriesRequest(
        account_id=account_id, symbols=which.symbol, strategies=which.strategy, reason=reason
    )
    if dry_run:
        output.one(request)
        return
    consent.ask(f"Cancel the pending entries of {account_id or 'the account'}?")
    async with connection.client() as client:
        results = await client.cancel_pending_entries(request)
    await output.many(results, CancelAllOrdersResult)
    refused = sum(1 for result in results if result.error_reason)
    if refused:
        raise Failure(Exit.PARTIAL, f"{refused} of {len(results)} could not be canceled")
