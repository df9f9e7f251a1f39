"""Trades of parts of shares: sized, protected for a day, moved, closed; and what instruments' own words allow."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from orderd.brokers.alpaca import rules
from orderd.core.assets import Asset
from orderd.core.order import AssetClass, OrderState, OrderType, Side, TimeInForce
from orderd.core.trade import Protection, TradeState
from orderd.desk.steps import step_of
from orderd.engine.errors import EngineError
from orderd.risk.limits import Limits
from orderd.venue.faults import Fault, FaultKind
from tests.desk.test_sessions import close_the_exchange
from tests.desk.trading import desk, exits, held, is_closed, live, opened, protected, quote, signal, stops, until
from tests.engine.world import ACCOUNT, World

D = Decimal
FRACTIONS = {"policy": {"limits": Limits(allow_fractions=True, risk_percent=D("0.0333"))}}
COIN = {"symbol": "BTC/USD", "entry_price": D(60000), "stop_loss_price": D(59000)}
IN_DAYS = {"venue_options": {"sessions": "nyse"}}


def tell(world: World, symbol: str = "KO", **changes: object) -> None:
    world.face.venue.change_asset(symbol, **changes)


async def size(world: World, **changes: Any) -> Decimal:  # noqa: ANN401 - fields of a signal
    sizing = await desk(world).size(ACCOUNT, signal(**changes))
    assert sizing.reason is None
    return sizing.quantity


def test_sizes_are_whole_unless_fractions_are_allowed(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        assert await size(world) == 199
        tell(world, quantity_step="100")
        await world.restart()
        assert await size(world) == 100

    live(tmp_path, story, policy={"limits": Limits(risk_percent=D("0.9999"))})


def test_a_size_is_a_whole_number_of_the_brokers_steps_where_every_order_of_the_trade_can_be(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        assert await size(world) == D("6.66")
        assert await size(world, side=Side.SELL) == 6, "only whole shares are sold short"
        assert await size(world, time_in_force=TimeInForce.GTC) == 6, "a part of a share is for a day"
        tell(world, "OCGN", price="80")
        assert await size(world, symbol="OCGN") == 6
        assert await size(world, **COIN) == D("0.0333")
        tell(world, "BTC/USD", quantity_step="0.01", minimum_quantity="0.04")
        await world.restart()
        sizing = await desk(world).size(ACCOUNT, signal(**COIN))
        assert (sizing.quantity, sizing.setup.step) == (0, D("0.01"))
        assert sizing.reason is not None
        assert sizing.reason.code == "BELOW_MINIMUM"

    live(tmp_path, story, **FRACTIONS)


def test_what_cannot_be_read_is_sized_in_whole_shares(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        world.face.venue.faults.arm(Fault(kind=FaultKind.ANSWER_STATUS, path="/v2/assets", status=500, times=0))
        assert await size(world) == 6
        trade = await protected(world, quantity=None)
        assert held(world) == trade.quantity == 6

    live(tmp_path, story, **FRACTIONS)


def test_a_part_of_a_share_is_protected_moved_and_closed(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world, quantity=None)
        assert held(world) == trade.quantity == D("6.66")
        assert trade.sizing is not None
        assert (trade.sizing.quantity, trade.sizing.setup.step) == (D("6.66"), D("1e-9"))
        (stop,) = stops(world, trade.trade_id)
        assert (stop.terms.quantity, stop.terms.time_in_force) == (D("6.66"), TimeInForce.DAY)
        await desk(world).move_stop(trade.trade_id, D(76))
        await until(world, trade.trade_id, lambda one: stops(world, one.trade_id)[-1].terms.stop_price == 76)
        assert len(stops(world, trade.trade_id)) == 1, "its price changes in place"
        quote(world, "82")
        await desk(world).close(trade.trade_id, quantity=D("1.16"), timeout_s=10)
        rest = await until(world, trade.trade_id, lambda one: one.protection is Protection.PROTECTED)
        assert (rest.state, rest.open_quantity, held(world)) == (TradeState.OPEN, D("5.5"), D("5.5"))
        assert stops(world, trade.trade_id)[-1].terms.quantity == D("5.5")
        closed = await desk(world).close(trade.trade_id, timeout_s=10)
        assert (closed.state, held(world)) == (TradeState.CLOSED, 0)

    live(tmp_path, story, **FRACTIONS)


def test_its_stop_executes(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world, quantity="2.5")
        assert trade.sizing is None
        quote(world, "74")
        await until(world, trade.trade_id, is_closed)
        assert held(world) == 0

    live(tmp_path, story)


def test_a_part_of_a_whole_trade_may_be_closed_and_the_rest_is_protected(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world)
        assert stops(world, trade.trade_id)[0].terms.time_in_force is TimeInForce.GTC
        await desk(world).close(trade.trade_id, quantity=D("0.5"), timeout_s=10)
        await until(world, trade.trade_id, lambda one: one.protection is Protection.PROTECTED)
        assert held(world) == D("9.5")
        old, new = stops(world, trade.trade_id)
        assert old.state is OrderState.CANCELED
        assert (new.terms.quantity, new.terms.time_in_force) == (D("9.5"), TimeInForce.DAY)

    live(tmp_path, story)


def test_a_days_stop_that_has_expired_is_placed_again(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        trade = await protected(world, quantity="2.5")
        world.face.venue.expire_day()
        world.pump()
        await asyncio.sleep(5)
        again = await until(world, trade.trade_id, lambda one: one.protection is Protection.PROTECTED)
        first, second = stops(world, trade.trade_id)
        assert first.state is OrderState.EXPIRED
        assert (second.terms.quantity, again.open_quantity) == (D("2.5"), D("2.5"))

    live(tmp_path, story)


@pytest.mark.parametrize(
    ("symbol", "quantity", "changes", "code"),
    [
        ("OCGN", "2.5", {}, "NOT_FRACTIONABLE"),
        ("RGC", "2", {}, "NOT_TRADABLE"),
        ("OCGN", "2", {"side": Side.SELL}, "NOT_SHORTABLE"),
        ("KO", "2.5", {"side": Side.SELL}, "NOT_SHORTABLE"),
        ("KO", "2.5", {"time_in_force": TimeInForce.GTC}, "BROKER_CANNOT_TAKE"),
        ("F", "2.51", {}, "QUANTITY_STEP"),
        ("F", "0.02", {}, "MIN_ORDER_QUANTITY"),
    ],
)
def test_what_the_broker_would_not_take_never_opens(
    tmp_path: Path, symbol: str, quantity: str, changes: dict[str, Any], code: str
) -> None:
    async def story(world: World) -> None:
        tell(world, "F", quantity_step="0.02", minimum_quantity="0.04")
        made = await opened(world, symbol=symbol, quantity=quantity, **changes)
        trade = await until(world, made.trade.trade_id, lambda one: one.is_over)
        assert trade.state is TradeState.NEVER_OPENED
        assert trade.reason is not None
        assert trade.reason.code == code
        assert not world.face.venue.ledger.orders

    live(tmp_path, story)


def test_a_part_that_no_order_could_close_is_refused(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        tell(world, is_fractionable=False)
        trade = await protected(world)
        with pytest.raises(EngineError) as refused:
            await desk(world).close(trade.trade_id, quantity=D("0.5"), timeout_s=10)
        assert (refused.value.reason, refused.value.metadata) == ("QUANTITY_STEP", {"field": "quantity", "step": "1"})
        assert desk(world).get(trade.trade_id).state is TradeState.OPEN
        assert not exits(world, trade.trade_id)

    live(tmp_path, story)


def test_a_price_off_the_instruments_own_step_is_refused_before_anything_is_recorded(tmp_path: Path) -> None:
    async def story(world: World) -> None:
        off = {**COIN, "type": OrderType.LIMIT, "time_in_force": TimeInForce.GTC, "accept_unprotected": True}
        with pytest.raises(EngineError) as refused:
            await opened(world, quantity="0.1", **{**off, "entry_price": D("60000.0000000001")})
        assert refused.value.metadata == {"field": "signal.entry_price", "increment": "0.000000001"}
        made = await opened(world, quantity="0.1", **off)
        await until(world, made.trade.trade_id, lambda one: bool(one.children))

    live(tmp_path, story)


@pytest.mark.parametrize("splits", [True, False])
def test_outside_the_session_a_part_of_a_share_goes_out_only_where_it_is_traded_then(
    tmp_path: Path, *, splits: bool
) -> None:
    limits = Limits(extended_exit_offset_percent=D("0.5"))

    async def story(world: World) -> None:
        tell(world, splits_outside_session=splits)
        trade = await protected(world, quantity="2.5")
        close_the_exchange(world)
        await asyncio.sleep(90)
        quote(world, "82")
        await asyncio.sleep(310)
        closing = await desk(world).close(trade.trade_id, timeout_s=60)
        assert closing.state is (TradeState.CLOSED if splits else TradeState.CLOSING)
        assert len(exits(world, trade.trade_id)) == splits
        assert held(world) == (0 if splits else D("2.5"))

    live(tmp_path, story, policy={"limits": limits, "reconcile_interval_s": 300}, **IN_DAYS)


# ------------------------------------------------------------------------------------------------------- in which steps

EQUITY = rules.capabilities(AssetClass.US_EQUITY, settle_s=1, requests_per_minute=200)
SHARE = Asset(symbol="KO", quantity_step=D("1e-9"), splits_outside_session=True)


@pytest.mark.parametrize(
    ("asset", "changes", "can", "step"),
    [
        (SHARE, {}, {}, "1e-9"),
        (None, {}, {}, "1"),
        (Asset(symbol="KO"), {}, {}, "1"),
        (Asset(symbol="KO", quantity_step=D("0.3")), {"side": Side.SELL}, {}, "0.3"),
        (SHARE, {"side": Side.SELL}, {}, "1"),
        (SHARE, {}, {"split_types": frozenset({OrderType.MARKET})}, "1"),
        (SHARE, {"type": OrderType.LIMIT}, {"split_types": frozenset({OrderType.MARKET, OrderType.STOP})}, "1"),
        (SHARE, {}, {"split_times": frozenset()}, "1"),
        (SHARE, {"extended_hours": True}, {}, "1e-9"),
        (Asset(symbol="KO", quantity_step=D("1e-9")), {"extended_hours": True}, {}, "1"),
    ],
)
def test_in_which_steps(asset: Asset | None, changes: dict[str, Any], can: dict[str, object], step: str) -> None:
    abilities = msgspec.structs.replace(EQUITY, **can)
    assert step_of(asset, signal(**changes), abilities, allows_fractions=True) == D(step)
    assert step_of(SHARE, signal(), abilities, allows_fractions=False) == 1
