"""The broker's own Python client, unmodified, over real sockets: what a bot's author does on the first day.

Its calls block, so each runs in a thread; its stream is awaited on the test's loop (its `run` wants a loop of its own).
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

import pytest
from alpaca.common.exceptions import APIError
from alpaca.trading import requests as ask
from alpaca.trading.client import TradingClient
from alpaca.trading.enums import (
    AssetClass,
    OrderClass,
    OrderSide,
    OrderStatus,
    OrderType,
    PositionIntent,
    QueryOrderStatus,
    TimeInForce,
)
from alpaca.trading.models import Order, TradeUpdate
from alpaca.trading.stream import TradingStream

from tests.venue.wire import Wire, until

T = TypeVar("T")
DAY, GTC = TimeInForce.DAY, TimeInForce.GTC
BUY, SELL = OrderSide.BUY, OrderSide.SELL

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the client's own imports


class Bot:
    """A TradingClient whose calls are awaited."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.client = TradingClient("venue-key", "venue-secret", paper=True, url_override=wire.server.rest_url)

    async def do(self, call: Callable[..., T], *given: object, **named: object) -> T:
        return await asyncio.to_thread(call, *given, **named)

    async def submit(self, request: Any) -> Order:  # noqa: ANN401 - any of the client's requests
        order = await self.do(self.client.submit_order, request)
        assert isinstance(order, Order)
        return order

    async def market(self, symbol: str = "KO", qty: float = 1, side: OrderSide = BUY) -> Order:
        """A market order, filled."""
        tif = GTC if "/" in symbol else DAY
        order = await self.submit(ask.MarketOrderRequest(symbol=symbol, qty=qty, side=side, time_in_force=tif))
        return await self.reach(order, "filled")

    async def limit(self, price: float = 1, side: OrderSide = BUY, **named: object) -> Order:
        """A limit order, working."""
        order = await self.submit(
            ask.LimitOrderRequest(
                **{"symbol": "KO", "qty": 1, "side": side, "time_in_force": DAY, "limit_price": price} | named
            )
        )
        return await self.reach(order, "new")

    async def reach(self, order: Order, status: str) -> Order:
        """The order when it has this status."""
        await until(lambda: self.wire.venue.find(str(order.id)).status == status)
        found = await self.do(self.client.get_order_by_id, order.id)
        assert isinstance(found, Order)
        return found


@pytest.fixture
async def bot(wire: Wire) -> AsyncIterator[Bot]:
    bot = Bot(wire)
    yield bot
    bot.client._session.close()


async def test_the_account(bot: Bot) -> None:
    account = await bot.do(bot.client.get_account)
    assert (account.cash, account.buying_power, account.multiplier) == ("100000", "400000", "4")


async def test_a_market_order_by_id_and_by_client_id(bot: Bot) -> None:
    request = ask.MarketOrderRequest(symbol="KO", qty=3, side=BUY, time_in_force=DAY, client_order_id="mine 1/2")
    order = await bot.submit(request)
    assert (order.status, order.qty, order.client_order_id) == (OrderStatus.PENDING_NEW, "3", "mine 1/2")
    filled = await bot.reach(order, "filled")
    assert (filled.filled_qty, filled.filled_avg_price) == ("3", "86.01")
    named = await bot.do(bot.client.get_order_by_client_id, "mine 1/2")
    assert named == filled


async def test_a_notional_order(bot: Bot) -> None:
    order = await bot.submit(ask.MarketOrderRequest(symbol="KO", notional=50, side=BUY, time_in_force=DAY))
    filled = await bot.reach(order, "filled")
    assert (filled.qty, filled.notional, filled.filled_qty) == (None, "50", "0.581327752")


async def test_limit_stop_stop_limit_and_trailing_orders(bot: Bot) -> None:
    await bot.market(qty=10)
    common = {"symbol": "KO", "qty": 1, "side": SELL, "time_in_force": DAY}
    orders = [
        await bot.submit(ask.LimitOrderRequest(**common, limit_price=99.5)),
        await bot.submit(ask.StopOrderRequest(**common, stop_price=80)),
        await bot.submit(ask.StopLimitOrderRequest(**common, stop_price=80, limit_price=79.5)),
        await bot.submit(ask.TrailingStopOrderRequest(**common, trail_percent=5)),
        await bot.submit(ask.TrailingStopOrderRequest(**common, trail_price=2.5)),
    ]
    assert [order.type for order in orders] == [
        OrderType.LIMIT,
        OrderType.STOP,
        OrderType.STOP_LIMIT,
        OrderType.TRAILING_STOP,
        OrderType.TRAILING_STOP,
    ]
    assert (orders[3].hwm, orders[3].stop_price, orders[4].stop_price) == ("86", "81.7", "83.5")
    for order in orders:
        await bot.reach(order, "new")


async def test_a_bracket(bot: Bot) -> None:
    order = await bot.submit(
        ask.MarketOrderRequest(
            symbol="KO",
            qty=2,
            side=BUY,
            time_in_force=GTC,
            order_class=OrderClass.BRACKET,
            take_profit=ask.TakeProfitRequest(limit_price=95),
            stop_loss=ask.StopLossRequest(stop_price=80, limit_price=79),
        )
    )
    assert order.legs is not None
    assert [leg.status for leg in order.legs] == [OrderStatus.HELD, OrderStatus.HELD]
    await bot.reach(order, "filled")
    rows = await bot.do(bot.client.get_orders, ask.GetOrdersRequest(nested=True))
    assert [leg.status for row in rows for leg in row.legs] == [OrderStatus.NEW, OrderStatus.HELD]
    await bot.wire.control("POST", "quotes", {"symbol": "KO", "bid": 96, "ask": 96.01})
    await bot.reach(order.legs[0], "filled")
    await bot.reach(order.legs[1], "canceled")


async def test_one_cancels_other_and_one_triggers_other(bot: Bot) -> None:
    await bot.market(qty=2)
    oco = await bot.submit(
        ask.LimitOrderRequest(
            symbol="KO",
            qty=2,
            side=SELL,
            time_in_force=DAY,
            order_class=OrderClass.OCO,
            take_profit=ask.TakeProfitRequest(limit_price=95),
            stop_loss=ask.StopLossRequest(stop_price=80),
        )
    )
    assert (oco.order_class, oco.limit_price, oco.legs[0].stop_price) == (OrderClass.OCO, "95", "80")
    oto = await bot.submit(
        ask.MarketOrderRequest(
            symbol="F",
            qty=1,
            side=BUY,
            time_in_force=DAY,
            order_class=OrderClass.OTO,
            stop_loss=ask.StopLossRequest(stop_price=9),
        )
    )
    assert [leg.status for leg in oto.legs] == [OrderStatus.HELD]
    await bot.reach(oto.legs[0], "new")


async def test_a_multi_leg_option_order(bot: Bot) -> None:
    contracts = await bot.do(
        bot.client.get_option_contracts, ask.GetOptionContractsRequest(underlying_symbols=["AAPL"], type="call")
    )
    first, second = contracts.option_contracts[:2]
    assert (first.underlying_symbol, first.size) == ("AAPL", "100")
    legs = [
        ask.OptionLegRequest(symbol=first.symbol, ratio_qty=1, side=BUY, position_intent=PositionIntent.BUY_TO_OPEN),
        ask.OptionLegRequest(symbol=second.symbol, ratio_qty=1, side=SELL),
    ]
    order = await bot.submit(
        ask.LimitOrderRequest(qty=1, time_in_force=DAY, order_class=OrderClass.MLEG, legs=legs, limit_price=20)
    )
    filled = await bot.reach(order, "filled")
    assert [leg.filled_qty for leg in filled.legs] == ["1", "1"]
    assert (filled.symbol, filled.side) == (None, None)
    positions = await bot.do(bot.client.get_all_positions)
    assert [(p.symbol, p.qty) for p in positions] == [(first.symbol, "1"), (second.symbol, "-1")]


async def test_a_single_option_and_a_coin(bot: Bot) -> None:
    option = await bot.market(symbol="AAPL271217C00190000")
    assert option.order_class is OrderClass.SIMPLE
    coin = await bot.market(symbol="BTC/USD", qty=0.25)
    assert (coin.asset_class, coin.filled_qty) == (AssetClass.CRYPTO, "0.25")


async def test_lists_page_by_id_and_filter_by_status(bot: Bot) -> None:
    ids = [(await bot.limit()).id for _ in range(7)]
    await bot.do(bot.client.cancel_order_by_id, ids[0])
    await bot.wire.settled(str(ids[0]), "canceled")
    seen: list[str] = []
    query: dict[str, object] = {"status": "all", "limit": 3}  # its request model knows no paging by id
    while rows := await bot.do(bot.client.get, "/orders", query):
        seen += [row["id"] for row in rows]
        query["before_order_id"] = seen[-1]
    assert seen == [str(each) for each in ids[::-1]]
    closed = await bot.do(bot.client.get_orders, ask.GetOrdersRequest(status=QueryOrderStatus.CLOSED))
    assert [row.id for row in closed] == ids[:1]
    since = ask.GetOrdersRequest(after=datetime.now(UTC) - timedelta(hours=1), symbols=["KO", "F"], side=BUY)
    assert len(await bot.do(bot.client.get_orders, since)) == 6


async def test_replace_gives_a_successor(bot: Bot) -> None:
    order = await bot.limit(price=1)
    change = ask.ReplaceOrderRequest(qty=2, limit_price=1.5, client_order_id="second")
    successor = await bot.do(bot.client.replace_order_by_id, order.id, change)
    assert (successor.replaces, successor.qty, successor.limit_price) == (order.id, "2", "1.5")
    old = await bot.reach(order, "replaced")
    assert old.replaced_by == successor.id
    await bot.reach(successor, "new")


async def test_cancel_one_and_all(bot: Bot) -> None:
    orders = [await bot.limit() for _ in range(3)]
    assert await bot.do(bot.client.cancel_order_by_id, orders[0].id) is None
    await bot.reach(orders[0], "canceled")
    answers = await bot.do(bot.client.cancel_orders)
    assert {answer.id for answer in answers} == {order.id for order in orders[1:]}
    assert {answer.status for answer in answers} == {200}
    for order in orders[1:]:
        await bot.reach(order, "canceled")
    assert await bot.do(bot.client.cancel_orders) == []


async def test_positions_are_seen_and_closed(bot: Bot) -> None:
    await bot.market(qty=4)
    await bot.market(symbol="MSFT", qty=2, side=SELL)
    position = await bot.do(bot.client.get_open_position, "KO")
    assert (position.qty, position.avg_entry_price, position.side) == ("4", "86.01", "long")
    part = await bot.do(bot.client.close_position, "KO", ask.ClosePositionRequest(percentage="25"))
    await bot.reach(part, "filled")
    await bot.limit(price=99, side=SELL)
    answers = await bot.do(bot.client.close_all_positions, cancel_orders=True)
    assert {answer.status for answer in answers} == {200}
    await until(lambda: not next(iter(bot.wire.venue.state.accounts.values())).positions)
    assert await bot.do(bot.client.get_all_positions) == []
    with pytest.raises(APIError) as missing:
        await bot.do(bot.client.get_open_position, "KO")
    assert (missing.value.status_code, missing.value.code) == (404, 40410000)


async def test_clock_calendar_assets_and_configurations(bot: Bot) -> None:
    assert (await bot.do(bot.client.get_clock)).is_open
    days = await bot.do(bot.client.get_calendar, ask.GetCalendarRequest(start=date(2026, 10, 5), end=date(2026, 10, 7)))
    assert [day.date for day in days] == [date(2026, 10, 5), date(2026, 10, 6), date(2026, 10, 7)]
    asset = await bot.do(bot.client.get_asset, "BTC/USD")
    assert (asset.asset_class, asset.fractionable) == (AssetClass.CRYPTO, True)
    assets = await bot.do(bot.client.get_all_assets, ask.GetAssetsRequest(asset_class=AssetClass.US_EQUITY))
    assert "KO" in {each.symbol for each in assets}
    settings = await bot.do(bot.client.get_account_configurations)
    assert settings.no_shorting is False


async def test_activities_through_the_plain_get(bot: Bot) -> None:
    for _ in range(3):
        await bot.market()
    rows = await bot.do(bot.client.get, "/account/activities/FILL", {"page_size": 2})
    more = await bot.do(bot.client.get, "/account/activities/FILL", {"page_token": rows[-1]["id"]})
    assert [row["qty"] for row in rows + more] == ["1", "1", "1"]


async def test_refusals_are_the_broker_s(bot: Bot) -> None:
    await bot.market()
    same = {"symbol": "KO", "qty": 1, "side": BUY, "time_in_force": DAY, "client_order_id": "mine"}
    await bot.submit(ask.MarketOrderRequest(**same))
    with pytest.raises(APIError) as twice:
        await bot.submit(ask.MarketOrderRequest(**same))
    assert (twice.value.status_code, twice.value.code) == (422, 40010001)
    assert twice.value.message == "client_order_id must be unique"
    with pytest.raises(APIError) as poor:
        await bot.market(qty=1_000_000)
    assert (poor.value.status_code, poor.value.message) == (403, "insufficient buying power")
    with pytest.raises(APIError) as filled:
        order = await bot.market()
        await bot.do(bot.client.cancel_order_by_id, order.id)
    assert filled.value.message == 'order is already in "filled" state'


async def test_its_hidden_retry_meets_the_duplicate_refusal(bot: Bot) -> None:
    """A 504 after acceptance: alpaca-py sends the POST again by itself, and the venue refuses the second one."""
    bot.client._retry_wait = 0
    await bot.wire.arm("answer_status", method="POST", status=504)
    with pytest.raises(APIError) as refused:
        await bot.submit(
            ask.MarketOrderRequest(symbol="KO", qty=1, side=BUY, time_in_force=DAY, client_order_id="mine")
        )
    assert refused.value.message == "client_order_id must be unique"
    assert len(bot.wire.venue.ledger.orders) == 1


# --- its stream -----------------------------------------------------------------------------------------


@asynccontextmanager
async def following(wire: Wire, path: str = "") -> AsyncIterator[list[TradeUpdate]]:
    """Run a TradingStream; what it hands to the handler."""
    stream = TradingStream("venue-key", "venue-secret", url_override=wire.server.stream_url + path)
    updates: list[TradeUpdate] = []

    async def take(update: TradeUpdate) -> None:
        updates.append(update)

    stream.subscribe_trade_updates(take)
    running = asyncio.create_task(stream._run_forever())
    try:
        await until(lambda: any(session.streams for session in wire.face.sessions.values()))
        yield updates
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await stream.close()


@pytest.mark.parametrize("path", ["", "/"])
async def test_the_stream_hears_an_order_s_whole_life(bot: Bot, path: str) -> None:
    async with following(bot.wire, path) as updates:
        order = await bot.market(qty=2)
        await until(lambda: len(updates) == 3)
        assert [update.event for update in updates] == ["pending_new", "new", "fill"]
        assert {update.order.id for update in updates} == {order.id}
        assert (updates[-1].price, updates[-1].qty, updates[-1].position_qty) == (86.01, 2.0, 2.0)
        assert [update.execution_id is None for update in updates] == [True, False, False]


async def test_the_stream_parses_cancels_replaces_and_strategies(bot: Bot) -> None:
    async with following(bot.wire) as updates:
        order = await bot.limit()
        successor = await bot.do(bot.client.replace_order_by_id, order.id, ask.ReplaceOrderRequest(limit_price=2))
        await bot.reach(successor, "new")
        await bot.do(bot.client.cancel_order_by_id, successor.id)
        await bot.reach(successor, "canceled")
        legs = [
            ask.OptionLegRequest(symbol=symbol, ratio_qty=1, side=BUY)
            for symbol in ("AAPL271217C00190000", "AAPL271217P00190000")
        ]
        strategy = await bot.submit(
            ask.MarketOrderRequest(qty=1, time_in_force=DAY, order_class=OrderClass.MLEG, legs=legs)
        )
        await bot.reach(strategy, "filled")
        await until(lambda: len(updates) == 8)
        assert [update.event for update in updates] == [
            "pending_new",
            "new",
            "replaced",
            "new",
            "canceled",
            "pending_new",
            "new",
            "fill",
        ]
        assert updates[2].order.replaced_by == successor.id
        assert updates[-1].order.legs is not None


async def test_the_stream_comes_back_after_a_kick(bot: Bot) -> None:
    async with following(bot.wire) as updates:
        first = set(bot.wire.face.sessions)
        await bot.wire.control("POST", "connections/kick", {"code": 1011})
        await until(lambda: any(s.streams for number, s in bot.wire.face.sessions.items() if number not in first))
        await bot.market()
        await until(lambda: len(updates) == 3)
