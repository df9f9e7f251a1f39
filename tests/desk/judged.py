"""Stories of trades that are judged from outside, and what happens in them."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from orderd.core.order import OrderType
from orderd.core.trade import Trade
from orderd.venue.faults import AnswerBody, Fault, FaultKind
from orderd.venue.orders import Status
from tests.desk.judge import TradeReferee
from tests.desk.trading import live, opened, stops
from tests.engine.world import World

ORDERS = "/v2/orders"


def judged(directory: Path, story: Callable[[World], Awaitable[None]], **options: Any) -> None:  # noqa: ANN401
    """Tell a story under the referee's eyes; at its end both sides agree, and a restart changes nothing."""

    async def told(world: World) -> None:
        world.watcher = referee = TradeReferee(world.database, {"paper": world.face.venue})
        await story(world)
        world.face.venue.faults.clear()
        await asyncio.sleep(20)
        referee.check_file()
        assert not referee.breaches, referee.breaches
        assert not world.disagreements()
        assert not [said for trade in referee.trades.values() if (said := referee.bare(trade))]
        before = [event.sequence for event in world.events()], len(referee.records)
        await world.restart()
        await asyncio.sleep(20)
        referee.check_file()
        assert ([event.sequence for event in world.events()], len(referee.records)) == before
        referee.close()

    live(directory, told, **options)


def arm(world: World, kind: FaultKind, **how: Any) -> Fault:  # noqa: ANN401
    return world.face.venue.faults.arm(Fault(kind=kind, path=ORDERS, **how))


def refusal(world: World, status: int, text: str, times: int = 1) -> None:
    """The broker refuses the next orders with this text."""
    body = f'{{"code": 40310000, "message": "{text}"}}'
    kind = FaultKind.ANSWER_STATUS
    arm(
        world,
        kind,
        method="POST",
        status=status,
        body=AnswerBody.TEXT,
        text=body,
        is_accepted=False,
        times=times,
        skip=1,
    )


def by_person(world: World, trade: Trade, status: Status = Status.CANCELED) -> None:
    """The stop ends at the broker, and nobody here has asked for it."""
    world.face.venue.end(at_venue(world, trade), status)
    world.pump()


def at_venue(world: World, trade: Trade) -> str:
    """The venue's id of the newest stop."""
    return str(stops(world, trade.trade_id)[-1].broker_order_id)


async def pending(world: World, key: str = "t-1", **changes: Any) -> Trade:  # noqa: ANN401
    """A trade whose entry rests at the venue."""
    made = await opened(world, key, **({"type": OrderType.LIMIT, "entry_price": Decimal(79)} | changes))
    await asyncio.sleep(1)
    return made.trade


def fills(world: World, trade: Trade, quantity: str | None = None) -> None:
    """The entry executes."""
    world.face.venue.fill(trade.children[0].client_order_id, None if quantity is None else Decimal(quantity))
    world.pump()
