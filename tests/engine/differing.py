"""What the stories about differences say and do, in the world of virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms.v1 import order_pb2 as opb
from orderd.core.discrepancies import DiscrepancyKind
from orderd.core.facts import Verdicts
from orderd.engine.api import OrderRef, ResolveAsk
from orderd.engine.errors import EngineError
from orderd.ports import Discrepancy, DiscrepancyFilter
from orderd.system import run_virtual
from orderd.venue.faults import Fault, FaultKind
from orderd.venue.orders import NewOrder, OrderType, Side, TimeInForce
from tests.e2e.books import state_of
from tests.engine.world import World

K = DiscrepancyKind
WORD: dict[str, Any] = {"reason": "the broker called", "evidence": "ticket 7", "operator_name": "ann"}


def live(directory: Path, story: Callable[[World], Awaitable[None]], **options: Any) -> None:  # noqa: ANN401
    """Tell a story in a world that begins ready, and judge nothing but what the story does."""

    async def tell() -> None:
        world = World(directory, 7, **options)
        await world.start()
        world.face.venue.set_auto_fill(is_on=False)
        await story(world)
        await world.kill()

    run_virtual(tell)


def arm(world: World, kind: FaultKind, **fields: Any) -> None:  # noqa: ANN401
    world.face.venue.faults.arm(Fault(**{"kind": kind, "times": 0, **fields}))


def calm(world: World) -> None:
    world.face.venue.faults.clear()


async def working(world: World, name: str, **fields: Any) -> str:  # noqa: ANN401
    """An order of ten that rests at the venue."""
    order_id, _ = await world.submit(client_order_id=name, **({"quantity": "10", "limit_price": "80"} | fields))
    await until(world, order_id, "ACCEPTED")
    return order_id


async def submitted(world: World, **fields: Any) -> str:  # noqa: ANN401
    """An order in KO with a key of its own."""
    name = f"k-{len(world.orders())}"
    order_id, _ = await world.submit(**({"client_order_id": name, "symbol": "KO", "limit_price": "80"} | fields))
    return order_id


async def until(world: World, order_id: str, *states: str) -> opb.Order:
    async with asyncio.timeout(60):
        while True:
            found = next((order for order in world.orders() if order.order_id == order_id), None)
            if found is not None and state_of(found) in states:
                return found
            await asyncio.sleep(0.05)


async def settled(world: World, seconds: float = 3) -> None:
    """Past the time in which an order that was heard of just now is not compared, and compared then."""
    world.pump()
    await asyncio.sleep(seconds)
    assert await world.reconcile()


async def found(world: World) -> dict[DiscrepancyKind, Discrepancy]:
    return {record.kind: record for record in await world.discrepancies()}


async def story_of(world: World) -> list[Discrepancy]:
    page = await world.alive.journal.list_discrepancies(DiscrepancyFilter(), after_key=None, limit=100)
    return list(page.records)


async def resolve(world: World, order_id: str, verdict: Verdicts, **said: Any) -> None:  # noqa: ANN401
    await world.alive.engine.resolve_order(OrderRef(order_id=order_id), ResolveAsk(verdict=verdict, **(WORD | said)))


async def close(world: World, record: Discrepancy) -> Discrepancy:
    return await world.alive.engine.resolve_discrepancy(
        record.discrepancy_id, reason="looked at it", operator_name="ann"
    )


def by_hand(**changes: Any) -> NewOrder:  # noqa: ANN401
    """What somebody at the broker's own screen asks for."""
    plain: dict[str, Any] = {
        "symbol": "KO", "side": Side.BUY, "type": OrderType.LIMIT, "time_in_force": TimeInForce.DAY,
        "quantity": Decimal(10), "limit_price": Decimal(80), "client_order_id": "by-hand",
    }  # fmt: skip
    return NewOrder(**(plain | changes))


async def refusal(call: Awaitable[object]) -> EngineError:
    with pytest.raises(EngineError) as caught:
        await call
    return caught.value


def order_of(world: World, order_id: str) -> opb.Order:
    return next(order for order in world.orders() if order.order_id == order_id)
