"""A bot with one trade: decide, open it, watch its protection, raise the stop, close it, tell what it made.

Start a server first (`make run`), then: .venv/bin/python examples/python/trade_bot.py AAPL 190

Everything it asks for has a key that comes from one key of its own. Kill it at any moment and start the last line of
its output again: it goes on where it was, with the same trade, and never buys or sells a second time. Killed for good,
the trade still has its stop: that is the server's work, not the bot's.
"""

import argparse
import asyncio
import sys
import uuid
from collections.abc import Awaitable
from decimal import Decimal

from oms.v1 import decision_service_pb2 as decisions_pb
from oms.v1 import order_pb2
from oms.v1 import trade_service_pb2 as pb
from orderd.client import Client, OrderdError

CENT = Decimal("0.01")
FIRST_STOP, RAISED_STOP = Decimal("0.95"), Decimal("0.97")
PASSING = {"TRADE_ENDED", "TRADE_NOT_OPEN", "STOP_THROUGH_MARKET"}
"""The stop has executed meanwhile, or the market came too near for the new one: told, and no reason to stop."""
OVER = {pb.DESK_EVENT_TYPE_TRADE_CLOSED, pb.DESK_EVENT_TYPE_TRADE_NEVER_OPENED, pb.DESK_EVENT_TYPE_TRADE_DENIED}


async def trade_once(client: Client, symbol: str, price: Decimal, *, key: str, hold_s: float) -> int:
    """One trade from its decision to its end; the exit code."""
    await decide(client, symbol, key)
    signal = pb.Signal(
        symbol=symbol,
        side=order_pb2.SIDE_BUY,
        type=order_pb2.ORDER_TYPE_MARKET,
        entry_price=str(price),
        stop_loss_price=str((price * FIRST_STOP).quantize(CENT)),
        strategy="example",
    )
    # Without a quantity it would be sized from the risk settings.
    request = pb.OpenTradeRequest(
        client_trade_id=key, decision_id=key, trace_id=f"trace-{key}", signal=signal, quantity="10"
    )
    opened = await client.open_trade(request)
    trade_id = opened.trade.trade_id
    print(f"trade {trade_id}{', found again' if opened.replayed else ''}", flush=True)
    # From the beginning of the journal: what happened before this line is told, too.
    is_protected = False
    async with client.follow_desk(pb.StreamDeskEventsRequest(trade_ids=[trade_id]), after_sequence=0) as events:
        async for event in events:
            if not event.HasField("trade"):
                continue
            say(event)
            if event.type in OVER:
                code = tell_result(event.trade)
                whole = await client.decision(decisions_pb.GetDecisionRequest(decision_id=key))
                print(f"decision {key}: {whole.lifecycle}; {len(whole.orders)} orders, {len(whole.fills)} fills")
                return code
            if event.type == pb.DESK_EVENT_TYPE_PROTECTED and not is_protected:
                is_protected = True
                await raise_stop_and_close(client, event.trade, key=key, hold_s=hold_s)
    return 1


async def decide(client: Client, symbol: str, key: str) -> None:
    """Write down what was decided and why, so that everything that comes of it can be traced back to it."""
    decision = decisions_pb.RecordDecisionRequest(
        decision_id=key,
        trace_id=f"trace-{key}",
        kind=order_pb2.DECISION_KIND_ENTRY,
        symbol=symbol,
        side=order_pb2.SIDE_BUY,
        strategy="example",
        confidence="0.7",
        signals={"breakout": "20 days"},
        rationale="an example decides the same every time",
    )
    recorded = await client.record_decision(decision)
    word = order_pb2.DecisionStatus.Name(recorded.decision.status).removeprefix("DECISION_STATUS_")
    print(f"decision {key} is {word}", flush=True)


async def raise_stop_and_close(client: Client, trade: pb.Trade, *, key: str, hold_s: float) -> None:
    """What this bot does once its trade is protected. After a restart all of it is asked again, by the same keys."""
    price = str((Decimal(trade.average_entry_price) * RAISED_STOP).quantize(CENT))
    await asked(
        client.move_stop(pb.MoveStopRequest(trade_id=trade.trade_id, stop_price=price, request_id=f"{key}-raise"))
    )
    await asyncio.sleep(hold_s)
    await asked(
        client.close_trade(
            pb.CloseTradeRequest(trade_id=trade.trade_id, reason="held enough", request_id=f"{key}-close")
        )
    )


async def asked(call: Awaitable[object]) -> None:
    """Ask, and say it when the answer is a no that the events explain."""
    try:
        await call
    except OrderdError as error:
        if error.reason not in PASSING:
            raise
        print(f"no: {error}", flush=True)


def say(event: pb.DeskEvent) -> None:
    """A line for each event."""
    trade = event.trade
    what = pb.DeskEventType.Name(event.type).removeprefix("DESK_EVENT_TYPE_")
    cover = pb.Protection.Name(trade.protection).removeprefix("PROTECTION_")
    print(f"{event.sequence}: {what} holds {trade.open_quantity} {cover}, stop at {trade.stop_price}", flush=True)


def tell_result(trade: pb.Trade) -> int:
    """What it made, or why there was nothing to make."""
    if trade.state != pb.TRADE_STATE_CLOSED:
        print(f"never opened: {trade.status_reason.code} {trade.status_reason.message}")
        return 4
    why = pb.ExitReason.Name(trade.exit_reason).removeprefix("EXIT_REASON_")
    print(f"bought at {trade.average_entry_price}, sold at {trade.average_exit_price} ({why}): {trade.realized_pnl}")
    print(f"without a stop for {trade.unprotected_duration.ToTimedelta().total_seconds():g} s in all")
    return 0


async def run(arguments: argparse.Namespace) -> int:
    """Connect and trade."""
    async with Client() as client:  # ORDERD_GRPC_ADDRESS, or 127.0.0.1:50051
        return await trade_once(client, arguments.symbol, arguments.price, key=arguments.key, hold_s=arguments.hold_s)


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="One trade, from its signal to its result.")
    parser.add_argument("symbol")
    parser.add_argument("price", type=Decimal, help="about where it trades now")
    parser.add_argument("--key", default=str(uuid.uuid4()), help="the key of a trade to go on with")
    parser.add_argument("--hold-s", type=float, default=2.0)
    arguments = parser.parse_args()
    try:
        return asyncio.run(run(arguments))
    except OrderdError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        print(f"again: {sys.executable} {sys.argv[0]} {arguments.symbol} {arguments.price} --key {arguments.key}")


if __name__ == "__main__":
    sys.exit(main())
