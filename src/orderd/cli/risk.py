"""`orderd risk …`: how an account stands, what it may send, a size, the kill switch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from orderd.cli import texts
from orderd.cli.accounts import AccountId
from orderd.cli.asking import Consent, ask_before_live
from orderd.cli.connection import Connection
from orderd.cli.exits import Exit, Failure
from orderd.cli.flags import command
from orderd.cli.intent import option
from orderd.cli.render import Output
from orderd.cli.settling import OperatorName, operator
from orderd.core.order import Side

if TYPE_CHECKING:
    from oms.v1.account_service_pb2 import TradingState

risk = typer.Typer(no_args_is_help=True, help="Limits, trading states, the circuit breaker, the kill switch.")


@dataclass(frozen=True, kw_only=True)
class Word:
    """An operator's word."""

    reason: Annotated[str, typer.Option("--reason", parser=texts.reason, metavar="TEXT", help="Why, for the record.")]
    operator_name: OperatorName = ""


@command(risk)
async def status(connection: Connection, output: Output, account_id: AccountId = "") -> None:
    """Print how an account stands: trading state, circuit breaker, limits and what stands against them."""
    async with connection.client() as client:
        output.one(await client.risk_status(account_id))


@command(risk)
async def halt(
    word: Word,
    connection: Connection,
    output: Output,
    account_id: AccountId = "",
    *,
    freeze_protection: Annotated[
        bool, typer.Option("--freeze-protection", help="Send no protective stops and exits either.")
    ] = False,
) -> None:
    """Stop an account: from now on only cancels, its own protective stops and its own exits are sent."""
    from oms.v1.account_service_pb2 import TRADING_STATE_HALTED

    await _set(word, connection, output, account_id, TRADING_STATE_HALTED, freeze_protection=freeze_protection)


@command(risk)
async def reduce(word: Word, connection: Connection, output: Output, account_id: AccountId = "") -> None:
    """Let an account only reduce what it holds."""
    from oms.v1.account_service_pb2 import TRADING_STATE_REDUCING

    await _set(word, connection, output, account_id, TRADING_STATE_REDUCING)


@command(risk)
async def resume(
    word: Word, connection: Connection, consent: Consent, output: Output, account_id: AccountId = ""
) -> None:
    """Let an account that was halted or only reduces trade again. (After evidence of the broker: `broker resume`.)"""
    from oms.v1.account_service_pb2 import TRADING_STATE_ACTIVE

    consent.ask(f"Let {account_id or 'the account'} trade again?")
    await _set(word, connection, output, account_id, TRADING_STATE_ACTIVE)


async def _set(
    word: Word,
    connection: Connection,
    output: Output,
    account_id: str,
    state: "TradingState.ValueType",
    *,
    freeze_protection: bool = False,
) -> None:
    from oms.v1.risk_service_pb2 import SetTradingStateRequest

    request = SetTradingStateRequest(
        account_id=account_id,
        trading_state=state,
        reason=word.reason,
        freeze_protection=freeze_protection,
        operator_name=operator(word.operator_name),
    )
    async with connection.client() as client:
        output.one(await client.set_trading_state(request))


@command(risk)
async def reset(
    word: Word, connection: Connection, consent: Consent, output: Output, account_id: AccountId = ""
) -> None:
    """Close an open circuit breaker before its day is over: entries pass again, and losses count anew."""
    from oms.v1.risk_service_pb2 import ResetCircuitBreakerRequest

    consent.ask(f"Let {account_id or 'the account'} open positions again today?")
    request = ResetCircuitBreakerRequest(
        account_id=account_id, reason=word.reason, operator_name=operator(word.operator_name)
    )
    async with connection.client() as client:
        output.one(await client.reset_circuit_breaker(request))


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry and its stop; names as in SizePositionRequest."""

    symbol: Annotated[str, option("AAPL, BRK.B, BTC/USD, AAPL250117C00150000.", parser=texts.symbol, metavar="SYMBOL")]
    side: Annotated[Side, option("Side of the entry.")]
    entry_price: Annotated[str, option("Where the entry is expected.", parser=texts.positive, metavar="DECIMAL")]
    stop_loss_price: Annotated[str, option("Where its stop is.", parser=texts.positive, metavar="DECIMAL")]
    equity: Annotated[
        str, option("Equity to size with. Default: the broker's figure.", parser=texts.positive, metavar="DECIMAL")
    ] = ""


@command(risk)
async def size(entry: Entry, connection: Connection, output: Output, account_id: AccountId = "") -> None:
    """Print how much to trade, so that its stop costs no more than the account may lose. Nothing is sent."""
    from oms.v1.order_pb2 import Side as WireSide
    from oms.v1.risk_service_pb2 import SizePositionRequest

    request = SizePositionRequest(
        account_id=account_id,
        symbol=entry.symbol,
        side=WireSide.Value(f"SIDE_{entry.side}"),
        entry_price=entry.entry_price,
        stop_loss_price=entry.stop_loss_price,
        equity=entry.equity,
    )
    async with connection.client() as client:
        sizing = await client.size_position(request)
    output.one(sizing)
    if sizing.code:
        raise Failure(Exit.REFUSED, f"{sizing.code}: {sizing.message}")


@command(risk)
async def flatten(
    word: Word,
    connection: Connection,
    consent: Consent,
    output: Output,
    account_id: AccountId = "",
    *,
    close_positions: Annotated[
        bool, typer.Option("--close-positions", help="Also close every position, at the market.")
    ] = False,
) -> None:
    """The kill switch: halt, cancel every entry the broker lists, other people's too, and prove what is left.

    It takes up to a minute; --timeout below that answers earlier, and the work goes on.
    """
    from oms.v1.risk_service_pb2 import FlattenAccountRequest

    what = "cancel every entry" + (" and close every position" if close_positions else "")
    request = FlattenAccountRequest(
        account_id=account_id,
        reason=word.reason,
        close_positions=close_positions,
        operator_name=operator(word.operator_name),
    )
    async with connection.client() as client:
        await ask_before_live(client, account_id, what, consent)
        answer = await client.flatten(request, timeout_s=max(connection.timeout, 90))
    output.one(answer)
    if not answer.is_flat:
        raise Failure(Exit.PARTIAL, "not flat yet: the answer says what is still live")
