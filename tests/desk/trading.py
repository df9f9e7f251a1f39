"""What the stories about trades say and do: the real desk, engine, journal, adapter and venue in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from orderd.core.order import Order, OrderRole, OrderType, Side
from orderd.core.trade import Protection, Signal, Trade, TradeState
from orderd.core.values import ZERO, AccountId
from orderd.desk.trade_asks import OpenTrade
from orderd.desk.trades import Opened, TradeDesk
from orderd.engine.api import Wait
from orderd.system import run_virtual
from tests.engine.world import ACCOUNT, World

KO = Decimal(80)
SETTLED_S = 30


def live(directory: Path, story: Callable[[World], Awaitable[None]], **options: Any) -> None:  # noqa: ANN401
    """Tell a story in a world that begins ready."""

    async def tell() -> None:
        world = World(directory, 1, has_desk=True, **options)
        await world.start()
        quote(world, "80")
        await story(world)
        await world.kill()

    run_virtual(tell)


def desk(world: World) -> TradeDesk:
    return world.alive.desk.trades


def signal(side: Side = Side.BUY, **changes: Any) -> Signal:  # noqa: ANN401
    """KO at 80 with a stop 5 away."""
    given = {
        "symbol": "KO",
        "side": side,
        "entry_price": KO,
        "stop_loss_price": Decimal(75) if side is Side.BUY else Decimal(85),
        "type": OrderType.MARKET,
        "strategy": "test",
    }
    return Signal(**(given | changes))


async def opened(world: World, key: str = "t-1", *, quantity: str | None = "10", **changes: Any) -> Opened:  # noqa: ANN401
    """Open a trade; `side` and other fields of the signal by their names."""
    of_trade = {
        name: changes.pop(name)
        for name in ("on_partial", "on_entry_end", "accept_unprotected", "decision_id", "trace_id", "tags")
        if name in changes
    }
    ask = OpenTrade(
        account_id=AccountId(ACCOUNT),
        client_trade_id=key,
        signal=signal(**changes),
        quantity=None if quantity is None else Decimal(quantity),
        **of_trade,
    )
    return await desk(world).open(ask, wait=Wait.JOURNAL, timeout_s=0)


async def until(world: World, trade_id: str, holds: Callable[[Trade], bool], seconds: float = SETTLED_S) -> Trade:
    """The trade once it is so."""
    async with asyncio.timeout(seconds):
        while not holds(trade := desk(world).get(trade_id)):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.05)
    return trade


def is_protected(trade: Trade) -> bool:
    return trade.protection is Protection.PROTECTED


def is_closed(trade: Trade) -> bool:
    return trade.state is TradeState.CLOSED


async def protected(world: World, key: str = "t-1", **changes: Any) -> Trade:  # noqa: ANN401
    """A trade of 10 KO whose stop works."""
    made = await opened(world, key, **changes)
    return await until(world, made.trade.trade_id, is_protected)


def of(world: World, trade_id: str, role: OrderRole) -> list[Order]:
    """The trade's orders of a role, oldest first."""
    trade = desk(world).get(trade_id)
    return [order for order in desk(world).orders(trade) if order.intent.role is role]


def stops(world: World, trade_id: str) -> list[Order]:
    return of(world, trade_id, OrderRole.STOP_LOSS)


def exits(world: World, trade_id: str) -> list[Order]:
    return of(world, trade_id, OrderRole.EXIT)


def held(world: World, symbol: str = "KO") -> Decimal:
    """What the venue says is held."""
    account = next(iter(world.face.venue.state.accounts.values()))
    position = account.positions.get(symbol)
    return ZERO if position is None else position.quantity


def quote(world: World, price: str, symbol: str = "KO") -> None:
    """Let the venue trade at this price, and act on it."""
    at = Decimal(price)
    world.face.venue.set_quote(symbol, at, at, at)
    world.pump()
