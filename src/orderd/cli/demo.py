"""A small bot for `orderd dev --demo`: it buys and sells a few shares, and says on stderr what it decides.

It is an ordinary client in a process of its own. It follows each order to its end before it decides again, so at most
one is open, and it starts from the fills it finds, so it may be stopped at any moment.
"""

import asyncio
import contextlib
import random
import sys
from decimal import Decimal
from typing import Final

from oms.v1 import order_pb2 as pb
from oms.v1.order_service_pb2 import (
    CancelOrderRequest,
    ListFillsRequest,
    StreamOrderEventsRequest,
    SubmitOrderRequest,
)
from orderd.client import Client, OrderdError

STRATEGY: Final = "demo"
SYMBOLS: Final[tuple[str, ...]] = ("AAPL", "MSFT", "SPY")
MOST_SHARES: Final = 20
MOST_AT_ONCE: Final = 5
PAUSE_S: Final = (1.0, 3.0)
PATIENCE_S: Final = 5.0
COUNTED: Final = frozenset({pb.FILL_STATUS_LIVE, pb.FILL_STATUS_INFERRED})


def say(text: str) -> None:
    """A line for people."""
    sys.stderr.write(f"bot: {text}\n")
    sys.stderr.flush()


class Bot:
    """Buys while it holds little, sells while it holds much."""

    def __init__(self, client: Client, rng: random.Random) -> None:
        """Call `look` before `trade`."""
        self._client = client
        self._rng = rng
        self._held = {symbol: Decimal(0) for symbol in SYMBOLS}

    async def look(self) -> None:
        """Add up what it bought and sold so far; the broker may have forgotten it, and will then say so."""
        self._held = {symbol: Decimal(0) for symbol in SYMBOLS}
        async for fill in self._client.fills(ListFillsRequest(symbols=SYMBOLS, page_size=1000)):
            if fill.strategy == STRATEGY and fill.status in COUNTED:
                self._book(fill.symbol, fill.side, Decimal(fill.quantity))

    def _book(self, symbol: str, side: "pb.Side.ValueType", quantity: Decimal) -> None:
        self._held[symbol] += quantity if side == pb.SIDE_BUY else -quantity

    async def trade(self) -> None:
        """One decision, followed to its end."""
        symbol = self._rng.choice(SYMBOLS)
        held = int(self._held[symbol])
        is_buy = held < 1 or (held < MOST_SHARES and self._rng.choice((True, False)))
        quantity = self._rng.randint(1, MOST_AT_ONCE if is_buy else min(held, MOST_AT_ONCE))
        side = pb.SIDE_BUY if is_buy else pb.SIDE_SELL
        what = f"{'buy' if is_buy else 'sell'} {quantity} {symbol}"
        request = SubmitOrderRequest(
            symbol=symbol,
            side=side,
            quantity=str(quantity),
            type=pb.ORDER_TYPE_MARKET,
            time_in_force=pb.TIME_IN_FORCE_DAY,
            strategy=STRATEGY,
        )
        order = await self._end_of((await self._client.submit(request)).order)
        self._book(symbol, side, Decimal(order.filled_quantity or 0))
        price = f" at {order.average_fill_price}" if order.average_fill_price else ""
        why = f", {order.status_reason.message}" if order.status_reason.message else ""
        status = pb.OrderStatus.Name(order.status).removeprefix("ORDER_STATUS_").lower()
        say(f"held {held}: {what}: {status}{price}{why}")

    async def _end_of(self, order: pb.Order) -> pb.Order:
        """Follow the order to its end; when that takes long, ask for its cancel and go on following."""
        while not order.HasField("closed_time"):
            try:
                async with asyncio.timeout(PATIENCE_S):
                    order = await self._followed(order)
            except TimeoutError:
                say(f"{order.symbol}: no end within {PATIENCE_S:g} s, canceling")
                order = await self._canceled(order)
        return order

    async def _followed(self, order: pb.Order) -> pb.Order:
        request = StreamOrderEventsRequest(order_ids=[order.order_id])
        async with self._client.follow(request, after_sequence=order.sequence) as events:
            async for event in events:
                if event.order.HasField("closed_time"):
                    return event.order
        return order

    async def _canceled(self, order: pb.Order) -> pb.Order:
        try:
            return await self._client.cancel(CancelOrderRequest(order_id=order.order_id, reason="took too long"))
        except OrderdError as error:
            if error.reason != "ORDER_ENDED":
                raise
            return order


async def run(address: str, rng: random.Random) -> None:
    """Trade until cancelled. What the server says no to is told, and tried again later."""
    async with Client(address) as client:
        bot = Bot(client, rng)
        while True:
            try:
                await bot.look()
                while True:
                    await asyncio.sleep(rng.uniform(*PAUSE_S))
                    await bot.trade()
            except OrderdError as error:
                say(f"waiting: {error}")
                await asyncio.sleep(PAUSE_S[-1])


async def _until_left_alone() -> None:
    """Wait for the end of stdin: whoever started the bot is gone."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    while await reader.read(1024):
        pass


async def _main(address: str) -> None:
    bot = asyncio.create_task(run(address, random.Random()))
    try:
        await _until_left_alone()
    finally:
        bot.cancel()


def main() -> None:
    """Trade at the address on the command line until stdin ends."""
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C reaches both; the server says what there is to say
        asyncio.run(_main(sys.argv[1]))


if __name__ == "__main__":
    main()
