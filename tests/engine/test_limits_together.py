"""Fifty at once: every limit holds for all of them together, and what is denied never leaves.

All in virtual time: the callers are judged before any of them is durable, and the broker is slower than all of them.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms.v1 import order_pb2 as opb
from orderd.engine.errors import EngineError, Kind
from orderd.risk.limits import Limits
from orderd.system import run_virtual
from orderd.venue.faults import Fault, FaultKind
from tests.e2e.books import state_of
from tests.engine.world import World
from tests.reach import Reached

CROWD = 50
SYMBOLS = ("KO", "F", "AMD", "AAPL", "MSFT", "SPY", "QQQ", "TSLA", "NVDA", "META")
SELL = {"side": opb.SIDE_SELL}


def live(directory: Path, story: Callable[[World], Awaitable[None]], limits: Limits, **venue: Any) -> None:  # noqa: ANN401 - options of the venue
    """Let a world with these limits live through a story."""

    async def main() -> None:
        world = World(directory, 5, venue_options=venue, policy={"limits": limits, "parallel_submits": 8})
        await world.start()
        await story(world)
        await world.kill()

    run_virtual(main)


async def crowd(world: World, **fields: Any) -> Counter[str]:  # noqa: ANN401 - any field of the request
    """Fifty submits at the same moment: how many passed, and the codes of the others."""

    async def one(number: int) -> str:
        own = {name: value(number) if callable(value) else value for name, value in fields.items()}
        try:
            order_id, _ = await world.submit(client_order_id=f"crowd-{number}", trace_id=f"t-{number}", **own)
        except EngineError as error:
            assert error.retry_after_s is not None
            return f"LATER {error.reason}"
        order = next(order for order in world.orders() if order.order_id == order_id)
        return order.status_reason.code if state_of(order) == "DENIED" else ""

    return Counter(await asyncio.gather(*(one(number) for number in range(CROWD))))


def posts(world: World) -> int:
    return sum(row.method == "POST" for row in world.face.venue.ledger.received)


@pytest.mark.parametrize(
    ("limits", "fields", "passed", "code"),
    [
        (Limits(max_open_orders=7), {"limit_price": "0.5"}, 7, "MAX_OPEN_ORDERS"),
        (
            Limits(max_open_positions=4),
            {"symbol": lambda n: SYMBOLS[n % 10], "limit_price": "0.5"},
            20,
            "MAX_OPEN_POSITIONS",
        ),
        (
            Limits(check_buying_power=True),
            {"limit_price": "10", "quantity": "1000"},
            40,
            "BUYING_POWER",
        ),
        (Limits(max_orders_per_minute=9), {"limit_price": "0.5"}, 9, "LATER RATE_LIMITED"),
        (Limits(duplicate_window_s=Decimal(5)), {"limit_price": "0.5"}, 1, "DUPLICATE_ORDER"),
        (
            Limits(duplicate_window_s=Decimal(5)),
            {"limit_price": "0.5", "quantity": lambda n: str(1 + n % 3)},
            3,
            "DUPLICATE_ORDER",
        ),
    ],
    ids=["open orders", "open positions", "buying power", "rate", "duplicates", "no duplicates"],
)
def test_fifty_at_once_never_exceed_a_limit(
    tmp_path: Path, reached: Reached, limits: Limits, fields: dict[str, Any], passed: int, code: str
) -> None:
    async def story(world: World) -> None:
        told = await crowd(world, **fields)
        assert told == {"": passed, code: CROWD - passed}
        await asyncio.sleep(5)
        assert posts(world) == passed, "what is denied is never sent"

    live(tmp_path, story, limits, cash=Decimal(100_000))
    reached("P13", f"concurrent submits against {code.rpartition(' ')[2]}", CROWD)


def test_buying_power_is_spent_once_whatever_the_broker_knows_already(tmp_path: Path) -> None:
    """Wave after wave: filled at once, acknowledged and resting, on their way. Cash 100,000 buys 400,000 on margin."""

    async def story(world: World) -> None:
        spent = Counter[str]()
        for wave in range(4):
            told = await asyncio.gather(
                *(
                    world.submit(
                        client_order_id=f"{wave}-{number}",
                        symbol=SYMBOLS[wave],
                        quantity="1000",
                        limit_price="20" if number % 2 else "60",
                    )
                    for number in range(6)
                )
            )
            del told
            await asyncio.sleep((0, 0.05, 3, 6)[wave])
        worth = Decimal(0)
        for order in world.orders():
            spent[state_of(order)] += 1
            if state_of(order) != "DENIED":
                worth += Decimal(order.quantity) * Decimal(order.limit_price)
        assert spent["DENIED"] >= 12
        assert not spent["REJECTED"], "the broker was never asked for more than it has"
        assert worth <= 400_000

    live(tmp_path, story, Limits(check_buying_power=True), cash=Decimal(100_000))


def test_an_order_that_came_to_nothing_costs_nothing(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        for number in range(5):
            order_id, _ = await world.submit(client_order_id=f"k-{number}", quantity="10000", limit_price="30")
            order = next(order for order in world.orders() if order.order_id == order_id)
            assert state_of(order) != "DENIED", number
            await asyncio.sleep(0.2)
            await world.cancel(order_id)
            await asyncio.sleep(0.5)

    live(tmp_path, story, Limits(check_buying_power=True), cash=Decimal(100_000))


def test_a_rate_comes_back_after_a_minute_and_says_when(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        assert (await crowd(world, limit_price="0.5"))[""] == 9
        with pytest.raises(EngineError) as caught:
            await world.submit(client_order_id="one-more", limit_price="0.5")
        assert caught.value.kind is Kind.EXHAUSTED
        assert caught.value.retry_after_s is not None
        assert 50 < caught.value.retry_after_s <= 60
        await asyncio.sleep(caught.value.retry_after_s)
        _, is_replay = await world.submit(client_order_id="one-more", limit_price="0.5")
        assert not is_replay, "nothing had been recorded"

    live(tmp_path, story, Limits(max_orders_per_minute=9))


def test_fifty_exits_at_once_never_sell_more_than_is_held(tmp_path: Path, reached: Reached) -> None:
    async def story(world: World) -> None:
        await world.submit(client_order_id="entry", quantity="100", symbol="KO")
        await asyncio.sleep(2)
        told = await crowd(world, quantity="7", **SELL)
        assert told[""] == 14
        assert told["CROSSES_ZERO"] == CROWD - 14
        await asyncio.sleep(3)
        assert await world.alive.workers.account.broker.positions()
        (held,) = await world.alive.workers.account.broker.positions()
        assert held.quantity == 2

    live(tmp_path, story, Limits())
    reached("P13", "concurrent exits of one position", CROWD)


def test_the_broker_that_cannot_be_read_is_no_denial(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        await asyncio.sleep(30)
        for fault in ("/v2/positions", "/v2/account"):
            world.face.venue.faults.arm(Fault(kind=FaultKind.ANSWER_STATUS, status=503, path=fault, times=0))
        await asyncio.sleep(6)
        for limits in ("a", "b"):
            with pytest.raises(EngineError) as caught:
                await world.submit(client_order_id=limits, limit_price="0.5")
            assert (caught.value.kind, caught.value.reason) == (Kind.UNAVAILABLE, "BROKER_UNAVAILABLE")
        assert not world.orders()

    live(tmp_path, story, Limits(check_buying_power=True, max_open_positions=3))
