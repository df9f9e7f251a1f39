"""A trade's life against the venue: opened, protected, moved, closed."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from orderd.core.order import OrderState, Side
from orderd.core.trade import ExitReason, Protection, Trade, TradeState
from orderd.core.values import AccountId
from orderd.engine.errors import EngineError
from tests.desk.trading import (
    desk,
    exits,
    held,
    is_closed,
    live,
    opened,
    protected,
    quote,
    stops,
    until,
)
from tests.engine.world import ACCOUNT, World


def test_a_trade_is_opened_protected_and_closed(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        assert trade.state is TradeState.OPEN
        assert held(world) == 10
        (stop,) = stops(world, trade.trade_id)
        assert (stop.intent.side, stop.terms.quantity, stop.terms.stop_price) == (Side.SELL, 10, 75)
        quote(world, "82")
        closed = await desk(world).close(trade.trade_id, timeout_s=10)
        assert closed.state is TradeState.CLOSED
        assert held(world) == 0
        assert [order.state for order in stops(world, trade.trade_id)] == [OrderState.CANCELED]
        assert len(exits(world, trade.trade_id)) == 1
        assert closed.exit_reason is ExitReason.REQUESTED

    live(tmp_path, story)


def test_a_stop_that_executes_closes_the_trade(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        quote(world, "74")
        closed = await until(world, trade.trade_id, is_closed)
        assert not exits(world, trade.trade_id)
        assert closed.average_exit_price == 74
        assert closed.exit_reason is ExitReason.STOP_LOSS
        assert held(world) == 0

    live(tmp_path, story)


def test_a_short_trade(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world, side=Side.SELL)
        assert held(world) == -10
        quote(world, "70")
        closed = await desk(world).close(trade.trade_id, timeout_s=10)
        assert closed.state is TradeState.CLOSED
        assert closed.realized_pnl is not None
        assert closed.realized_pnl > 0
        assert held(world) == 0

    live(tmp_path, story)


def test_the_same_key_is_the_same_trade(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        many = await asyncio.gather(*(opened(world) for _ in range(20)))
        assert len({made.trade.trade_id for made in many}) == 1
        assert sorted(made.replayed for made in many) == [False, *[True] * 19]
        await until(world, many[0].trade.trade_id, lambda trade: trade.protection is Protection.PROTECTED)
        assert held(world) == 10

    live(tmp_path, story)


def test_a_moved_stop_is_replaced(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        await desk(world).move_stop(trade.trade_id, Decimal(78), request_id="m-1")
        await asyncio.sleep(2)
        (stop,) = stops(world, trade.trade_id)
        assert stop.terms.stop_price == 78
        assert len(stop.links) == 2
        assert desk(world).get(trade.trade_id).protection is Protection.PROTECTED

    live(tmp_path, story)


def test_a_part_is_closed_and_the_rest_stays_protected(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        after = await desk(world).close(trade.trade_id, quantity=Decimal(4), request_id="c-1", timeout_s=10)
        assert after.state is TradeState.OPEN
        await until(world, trade.trade_id, lambda trade: trade.protected_quantity == 6)
        assert held(world) == 6
        await desk(world).close(trade.trade_id, quantity=Decimal(4), request_id="c-1", timeout_s=10)
        assert held(world) == 6, "the same request closes once"

    live(tmp_path, story)


def test_a_trade_whose_entry_could_not_be_written_waits_for_its_caller_and_is_given_up_in_time(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        account = world.alive.workers.account
        account.policy = replace(account.policy, queue_limit=0)
        with pytest.raises(EngineError, match="waiting to be sent"):
            await opened(world)
        made = desk(world).find(account.account_id, "t-1")
        assert made.state is TradeState.PENDING
        account.policy = replace(account.policy, queue_limit=10)
        again = await opened(world)
        assert (again.replayed, again.entry is not None) == (True, True)
        account.policy = replace(account.policy, queue_limit=0)
        with pytest.raises(EngineError, match="waiting to be sent"):
            await opened(world, "t-2")
        late = desk(world).find(account.account_id, "t-2")
        world.alive.desk.protector.wake(account.account_id, late.trade_id)
        ended = await until(world, late.trade_id, lambda trade: trade.is_over, seconds=90)
        assert ended.state is TradeState.NEVER_OPENED
        assert ended.reason is not None
        assert ended.reason.code == "STALE"

    live(tmp_path, story)


def test_a_denied_entry_is_a_trade_that_never_opened_with_its_reason(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        made = await opened(world, quantity="10000000")
        ended = await until(world, made.trade.trade_id, lambda trade: trade.is_over)
        assert ended.state is TradeState.NEVER_OPENED
        assert ended.reason is not None
        assert "buying power" in ended.reason.message

    live(tmp_path, story)


def test_a_signal_is_sized_by_the_accounts_risk(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        made = await opened(world, quantity=None)
        assert made.trade.quantity == 200, "1 % of 100,000 with a stop 5 away"

    live(tmp_path, story)


def test_an_entry_that_a_death_left_unsent_goes_out_once(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.arm("after commit", 1)
        opening = asyncio.ensure_future(opened(world))
        await asyncio.wait([opening, world.death], return_when=asyncio.FIRST_COMPLETED)
        assert not world.orders()
        await world.restart()
        trade = desk(world).find("paper", "t-1")
        await until(world, trade.trade_id, lambda trade: trade.protection is Protection.PROTECTED)
        assert held(world) == 10

    live(tmp_path, story)


def test_an_entry_that_is_too_old_never_goes_out(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.arm("after commit", 1)
        opening = asyncio.ensure_future(opened(world))
        await asyncio.wait([opening, world.death], return_when=asyncio.FIRST_COMPLETED)
        await world.kill()
        await asyncio.sleep(61)
        await world.start()
        trade = desk(world).find("paper", "t-1")
        trade = await until(world, trade.trade_id, lambda trade: trade.is_over)
        assert trade.state is TradeState.NEVER_OPENED
        assert trade.reason is not None
        assert trade.reason.code == "STALE"
        await asyncio.sleep(5)
        assert not world.orders()

    live(tmp_path, story)


def test_a_repeated_close_holds_nothing_up(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(desk(world).close(trade.trade_id, request_id="c-1", timeout_s=10) for _ in range(3)))
        assert desk(world).get(trade.trade_id).state is TradeState.CLOSED
        assert asyncio.get_running_loop().time() - began < 5

    live(tmp_path, story)


def test_a_caller_that_leaves_takes_nothing_along(tmp_path: Path) -> None:
    """Whatever turn of the loop it leaves at, the trade is opened, protected and closed all the same."""

    async def story(world: World) -> None:
        for turns in range(1, 12):
            asked = asyncio.create_task(opened(world, f"t-{turns}"))
            await _leave(asked, turns)
            trade = await _protected(world, f"t-{turns}")
            closing = asyncio.create_task(desk(world).close(trade.trade_id, timeout_s=10))
            await _leave(closing, turns)
            await until(world, trade.trade_id, is_closed)
            assert held(world) == 0

    live(tmp_path, story)


async def _leave(call: "asyncio.Task[object]", turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)
    call.cancel()


async def _protected(world: World, key: str) -> Trade:
    await asyncio.sleep(1)
    trade = desk(world).find(AccountId(ACCOUNT), key)
    assert trade.protection is Protection.PROTECTED
    return trade


def test_callers_who_give_up_leave_nothing_half_done(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        for number in range(12):
            key, pause_s = f"t-{number}", number * 0.004
            impatient = asyncio.ensure_future(opened(world, key))
            await asyncio.sleep(pause_s)
            impatient.cancel()
            trade = (await opened(world, key)).trade
            await until(world, trade.trade_id, lambda trade: trade.protection is Protection.PROTECTED)
            for call in (
                lambda: desk(world).move_stop(trade.trade_id, Decimal(74)),  # noqa: B023 - called at once
                lambda: desk(world).close(trade.trade_id),  # noqa: B023 - called at once
            ):
                impatient = asyncio.ensure_future(call())
                await asyncio.sleep(pause_s)
                impatient.cancel()
                await call()
            await until(world, trade.trade_id, lambda trade: trade.is_over)
            assert held(world) == 0

    live(tmp_path, story, slowest_commit_s=0.05)


def test_an_adjusted_option_is_not_sized_as_if_its_contract_were_known(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        made = await opened(world, quantity=None, symbol="AAPL1260619C00150000", accept_unprotected=True)
        assert made.trade.state is TradeState.NEVER_OPENED
        assert made.trade.reason is not None
        assert made.trade.reason.code == "PRICE_UNAVAILABLE"
        assert "multiplier" in made.trade.reason.message

    live(tmp_path, story)


def test_a_trade_has_one_timer_however_often_it_is_woken(tmp_path: Path) -> None:
    """Each look sets the next one: two timers would each set another, for ever."""

    async def story(world: World) -> None:
        trade = await protected(world)
        account = world.alive.workers.account
        protector, asked = world.alive.desk.protector, 0
        wakes = protector.wake

        def counted(account_id: str, trade_id: str) -> None:
            nonlocal asked
            asked += 1
            wakes(account_id, trade_id)

        protector.wake = counted  # type: ignore[method-assign]
        for number in range(1, 51):
            protector.wake_later(account.account_id, trade.trade_id, 1 + number / 100)
        protector.wake_later(account.account_id, trade.trade_id, 0.5)
        await world.clock.sleep(3)
        assert asked == 1

    live(tmp_path, story)
