"""kill -9 at any moment: after the restart every order is what the venue says it is, once, with every fill."""

import asyncio
import random
from pathlib import Path

import grpc
import pytest

from oms.v1 import order_pb2 as opb
from oms.v1 import order_service_pb2 as pb
from tests.e2e.audit import audit, every_order
from tests.e2e.harness import House, submit_request, trading
from tests.reach import Reached, scaled

SYMBOLS = ("KO", "AAPL", "MSFT", "F", "AMD")
OPEN = "ORDER_STATUS_"


class Trader:
    """Trades for as long as it is let, and repeats with the same key whatever was cut."""

    def __init__(self, house: House, seed: int) -> None:
        self._house = house
        self._random = random.Random(seed)
        self.said: dict[str, str] = {}
        """Order ids by key."""

    async def trade(self, name: str) -> None:
        """One order from its submit to its fill, or to its cancel, perhaps by way of a replace."""
        house, chance = self._house, self._random.random()
        symbol, quantity = self._random.choice(SYMBOLS), str(self._random.randint(1, 9))
        resting = {} if chance < 0.6 else {"limit_price": "5"}
        request = submit_request(client_order_id=name, symbol=symbol, quantity=quantity, **resting)
        answer = await house.steady(lambda: house.orders.SubmitOrder(request))
        order_id = self.said.setdefault(name, answer.order.order_id)
        assert order_id == answer.order.order_id, "the same key, another order"
        if resting:
            await self._change(order_id, int(quantity))

    async def _change(self, order_id: str, quantity: int) -> None:
        house = self._house
        if self._random.random() < 0.5:
            replace = pb.ReplaceOrderRequest(order_id=order_id, request_id="r1", quantity=str(quantity + 1))
            await self._tolerant(lambda: house.steady(lambda: house.orders.ReplaceOrder(replace)))
        cancel = pb.CancelOrderRequest(order_id=order_id)
        await self._tolerant(lambda: house.steady(lambda: house.orders.CancelOrder(cancel)))

    async def _tolerant(self, call) -> None:  # noqa: ANN001 - any call
        """An order that is not working yet, or no more, may refuse."""
        try:
            await call()
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
                raise


async def survive(directory: Path, *, kills: int, seed: int) -> None:
    """Trade, and shoot the server so often; then nothing may be missing, and nothing twice."""
    chance = random.Random(seed)
    async with trading(directory, venue={"seed": seed, "partial_rate": "0.3"}) as house:
        await house.venue.settings(route_delay_ms=5, fill_delay_ms=20, refill_delay_ms=30)
        trader, number = Trader(house, seed), 0
        for _ in range(kills):
            batch = [f"n-{number + n}" for n in range(25)]
            number += len(batch)
            async with asyncio.TaskGroup() as group:
                for name in batch:
                    group.create_task(trader.trade(name))
                await asyncio.sleep(chance.uniform(0.01, 0.4))
                await house.kill()
                await house.restart()
        await at_rest(house)
        orders = await every_order(house)
        assert {order.client_order_id for order in orders} == set(trader.said)
        await audit(house)


async def at_rest(house: House, within_s: float = 30) -> None:
    """Wait until nothing is open any more."""
    open_only = pb.ListOrdersRequest(open_only=True, page_size=1000)
    async with asyncio.timeout(within_s):
        while (await house.orders.ListOrders(open_only)).orders:
            # An order that rests without a cancel (its cancel was refused before it worked) is cancelled now.
            for order in (await house.orders.ListOrders(open_only)).orders:
                if order.limit_price and not order.pending_cancel:
                    await house.orders.CancelOrder(pb.CancelOrderRequest(order_id=order.order_id))
            await asyncio.sleep(0.05)


@pytest.mark.scaled
@pytest.mark.parametrize("seed", range(scaled(20, part=20)))
async def test_kills_at_random_moments_of_trading(tmp_path: Path, seed: int, reached: Reached) -> None:
    kills = scaled(50, part=8)
    await survive(tmp_path, kills=kills, seed=1000 + seed)
    reached("P2", "random kills while trading, no intent live twice at the broker", kills)


async def test_what_happened_at_the_broker_while_the_server_was_dead_is_caught_up(tmp_path: Path) -> None:
    async with trading(tmp_path) as house:
        await house.venue.settings(is_auto_fill=False)
        names = ("filled", "part", "canceled", "expired", "untouched", "part-canceled")
        orders = {name: await house.submit(client_order_id=name, quantity="10") for name in names}
        for order in orders.values():
            await house.until(order.order_id, "ACCEPTED")
        await house.venue.fill("part", "1", "86")
        await house.until(orders["part"].order_id, "PARTIALLY_FILLED")
        await house.kill()
        await house.venue.fill("filled", "4", "86.01")
        await house.venue.fill("filled", "6", "86.02")
        await house.venue.fill("part", "2", "86.5")
        await house.venue.fill("part-canceled", "3", "86.3")
        await house.venue.end("part-canceled", "canceled")
        await house.venue.end("canceled", "canceled")
        await house.venue.end("expired", "expired")
        await house.restart()
        states = {
            name: opb.OrderStatus.Name((await house.get(order.order_id)).status).removeprefix(OPEN)
            for name, order in orders.items()
        }
        assert states == {
            "filled": "FILLED",
            "part": "PARTIALLY_FILLED",
            "canceled": "CANCELED",
            "expired": "EXPIRED",
            "untouched": "ACCEPTED",
            "part-canceled": "CANCELED",
        }
        await audit(house)
