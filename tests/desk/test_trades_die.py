"""kill -9 at every place of a trade's life, one after the other: the end is the same, and nothing is done twice."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from orderd.core.order import OrderType, Side
from orderd.core.trade import Protection, Trade, TradeState
from tests.desk.insist import insist, insist_on
from tests.desk.judge import TradeReferee
from tests.desk.trading import desk, held, is_closed, is_protected, live, opened, quote
from tests.engine.seams import AFTER_COMMIT, BEFORE_COMMIT, FRAME, PLACES
from tests.engine.world import World
from tests.reach import PROVES, Reached, patience

STRIDE = 1 if PROVES else 25
"""In `make test` every 25th commit, frame and read; where they begin differs by story and place."""
OFTEN = frozenset({BEFORE_COMMIT, AFTER_COMMIT, FRAME, "before GET", "after GET"})
Story = Callable[[World], Awaitable[None]]


def referee_of(world: World) -> TradeReferee:
    """Somebody who looks on."""
    referee = TradeReferee(world.database, {name: bench.face.venue for name, bench in world.benches.items()})
    world.watcher = referee
    return referee


async def _moved_and_closed_in_parts(world: World) -> None:
    """Opened, protected, moved, closed in part, closed."""
    trade_id = (await insist(world, lambda: opened(world))).trade.trade_id
    await insist_on(world, trade_id, is_protected)
    await insist(world, lambda: desk(world).move_stop(trade_id, Decimal(78), request_id="m-1"))
    await insist_on(world, trade_id, lambda trade: _stands_at(world, trade, Decimal(78)))
    await insist(world, lambda: desk(world).close(trade_id, quantity=Decimal(4), request_id="c-1"))
    await insist_on(world, trade_id, lambda trade: trade.protected_quantity == 6 and trade.closing is None)
    assert held(world) == 6
    await insist(world, lambda: desk(world).close(trade_id, request_id="c-2"))
    await insist_on(world, trade_id, is_closed)


async def _stopped_out(world: World) -> None:
    """The stop executes."""
    trade_id = (await insist(world, lambda: opened(world, side=Side.SELL))).trade.trade_id
    await insist_on(world, trade_id, is_protected)
    quote(world, "85")
    await insist_on(world, trade_id, is_closed)


async def _entry_partly_filled(world: World) -> None:
    """The rest of the entry goes, what is held is stopped, then closed."""
    made = await insist(world, lambda: opened(world, type=OrderType.LIMIT, entry_price=Decimal(79)))
    trade_id = made.trade.trade_id
    entry = await insist_on(world, trade_id, lambda trade: _works(world, trade))
    world.face.venue.fill(_key(entry), Decimal(3))
    world.pump()
    await insist_on(world, trade_id, is_protected)
    assert held(world) == 3
    await insist(world, lambda: desk(world).close(trade_id, request_id="c-1"))
    await insist_on(world, trade_id, is_closed)


def _key(trade: Trade) -> str:
    return trade.children[0].client_order_id


def _works(world: World, trade: Trade) -> bool:
    """Whether its entry works at the venue."""
    order = next(iter(desk(world).orders(trade)), None)
    return order is not None and order.state == "ACCEPTED"


def _stands_at(world: World, trade: Trade, price: Decimal) -> bool:
    stops = [order for order in desk(world).orders(trade) if order.is_open and order.terms.stop_price == price]
    return bool(stops) and trade.protection is Protection.PROTECTED


STORIES: tuple[Story, ...] = (_moved_and_closed_in_parts, _stopped_out, _entry_partly_filled)


async def _ended_well(world: World, referee: TradeReferee) -> None:
    """Flat, agreed upon, and nothing changes over a restart."""
    await asyncio.sleep(5)
    referee.check_file()
    assert not referee.breaches, referee.breaches
    assert held(world) == 0
    assert not world.disagreements()
    (trade,) = referee.trades.values()
    assert not referee.bare(trade)
    assert not any(order.is_open for order in world.face.venue.ledger.orders.values())
    events = referee.trade_events[trade.trade_id]
    assert events.count("TRADE_OPENED") == events.count("TRADE_CLOSED") == 1
    before = world.events()
    await world.restart()
    await asyncio.sleep(30)
    assert world.events() == before
    assert desk(world).get(trade.trade_id).state is TradeState.CLOSED


def _die(directory: Path, story: Story, place: str, number: int) -> int:
    """Tell the story with a death; how many there were: none, when there is no such place any more."""
    deaths: list[int] = []

    async def tell(world: World) -> None:
        referee = referee_of(world)
        world.arm(place, number)
        await story(world)
        world.arm("", 0)
        await _ended_well(world, referee)
        referee.close()
        deaths.append(world.places[place])

    live(directory, tell)
    return deaths[0]


@pytest.mark.scaled
@pytest.mark.timeout(patience(120))
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.__name__.strip("_"))
def test_a_trade_survives_a_death_at_each_place(tmp_path: Path, story: Any, reached: Reached) -> None:  # noqa: ANN401
    deaths = 0
    for offset, place in enumerate(PLACES):
        stride = STRIDE if place in OFTEN else 1
        number = 1 + (3 * offset + STORIES.index(story)) % stride
        while _die(_fresh(tmp_path, place, number), story, place, number):
            deaths += 1
            number += stride
    assert deaths > len(OFTEN)
    reached("P3", "kills at each place of a trade's life: the same end, nothing sold twice", deaths)


def _fresh(folder: Path, place: str, number: int) -> Path:
    path = folder / f"{place} {number}"
    path.mkdir()
    return path
