"""What every broker must keep, whatever stands behind it: submitting, looking up, changing, listing.

The stream and the faults are in the files beside this one.
"""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from orderd.core.facts import Execution
from orderd.core.order import AssetClass, OrderClass, OrderType, Phase, Side, StopLoss, TimeInForce
from orderd.core.values import BrokerOrderId, ClientOrderId
from orderd.ports import Absent, Acked, Asset, Found, Lookup, NoAsset, Refusal, Refused, ReplaceRequest, Taken
from orderd.venue.orders import NewOrder, Status
from orderd.venue.orders import OrderType as VenueType
from orderd.venue.orders import Side as VenueSide
from orderd.venue.orders import TimeInForce as VenueTime
from tests.brokers.making import limit_order, option_leg, order, staged, terms
from tests.contracts.broker_desks import KINDS, SETTLE_S, Desk, open_desk

D = Decimal
ABSENT_ID = BrokerOrderId("b0b6dd9d-8b9b-48a9-ba46-b9d54906e415")


@pytest.fixture(params=KINDS)
async def desk(request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    async with open_desk(str(request.param)) as opened:
        yield opened


async def acked(desk: Desk, asked: object) -> Acked:
    answer = await desk.broker.submit(staged(asked), timeout_s=5)  # type: ignore[arg-type]
    assert isinstance(answer, Acked), answer
    return answer


async def found(desk: Desk, broker_order_id: BrokerOrderId) -> Found:
    answer = await desk.broker.order(broker_order_id, timeout_s=5)
    assert isinstance(answer, Found), answer
    return answer


async def test_a_submitted_order_is_acknowledged_and_found_by_both_ids(desk: Desk) -> None:
    answer = await acked(desk, limit_order("key-7", "3", "50.25"))
    view = answer.view
    assert (view.client_order_id, view.symbol, view.side) == ("key-7", "AAPL", Side.BUY)
    assert view.terms == terms(OrderType.LIMIT, "3", limit="50.25")
    assert (view.filled_quantity, view.average_price, view.asset_class) == (0, None, AssetClass.US_EQUITY)
    assert view.asked_ns is not None
    by_key = await desk.broker.find("key-7", timeout_s=5)
    assert isinstance(by_key, Found)
    assert by_key.view.broker_order_id == view.broker_order_id == desk.venue.find("key-7").order_id
    assert (await found(desk, view.broker_order_id)).view.client_order_id == "key-7"


async def test_a_market_order_fills_and_every_source_tells_the_same_execution(desk: Desk) -> None:
    answer = await acked(desk, order("key-1", terms(quantity="4")))
    (fill,) = await desk.heard("fill", client_order_id="key-1")
    (told,) = fill.executions
    assert (told.quantity, told.price, told.cum_after) == (D(4), D("100.01"), D(4))
    assert told.execution_id
    assert told.broker_order_id == answer.view.broker_order_id
    assert fill.view is not None
    assert (fill.view.phase, fill.view.filled_quantity, fill.view.average_price) == (Phase.FILLED, 4, D("100.01"))
    (listed,) = await desk.broker.executions_of(answer.view.broker_order_id)
    (since,) = await desk.broker.executions_since(desk.clock.now().replace(hour=0, minute=0))
    for each in (listed, since):
        assert (each.broker_order_id, each.quantity, each.price, each.cum_after) == (
            told.broker_order_id, told.quantity, told.price, told.cum_after,
        )  # fmt: skip
        assert each.execution_id


async def test_positions_account_and_clock_are_read(desk: Desk) -> None:
    await acked(desk, order("key-1", terms(quantity="4")))
    await desk.heard("fill")
    (position,) = await desk.broker.positions()
    assert (position.symbol, position.quantity, position.average_entry_price) == ("AAPL", 4, D("100.01"))
    account = await desk.broker.account()
    assert (account.number, account.currency) == (desk.face.account_of("contract-key").number, "USD")
    assert account.cash == D(1_000_000) - 4 * D("100.01")
    assert not account.is_trading_blocked
    clock = await desk.broker.clock()
    assert abs((clock.time - desk.clock.now()).total_seconds()) < 10
    assert clock.next_close > clock.time


async def test_instruments_are_described(desk: Desk) -> None:
    share = await desk.broker.asset("AAPL", timeout_s=5)
    assert isinstance(share, Asset)
    assert (share.symbol, share.asset_class, share.is_tradable) == ("AAPL", AssetClass.US_EQUITY, True)
    assert (share.is_fractionable, share.is_shortable) == (True, True)
    coin = await desk.broker.asset("BTC/USD", timeout_s=5)
    assert isinstance(coin, Asset)
    assert (coin.symbol, coin.is_shortable) == ("BTC/USD", False)
    assert coin.quantity_step == coin.price_step == D("1e-9")
    assert await desk.broker.asset("NOSUCH", timeout_s=5) == NoAsset()
    desk.venue.change_asset("AAPL", is_tradable=False, is_shortable=False, is_fractionable=False)
    share = await desk.broker.asset("AAPL", timeout_s=5)
    assert isinstance(share, Asset)
    assert (share.is_tradable, share.is_shortable, share.quantity_step) == (False, False, D(1))


async def test_a_second_order_with_the_same_key_is_refused_for_ever(desk: Desk) -> None:
    await acked(desk, order("key-1", terms(quantity="1")))
    await desk.heard("fill")
    again = await desk.broker.submit(staged(order("key-1", terms(quantity="1"))), timeout_s=5)
    assert isinstance(again, Refused)
    assert again.is_duplicate_id
    assert len(desk.venue.state.book.of_account(desk.face.account_of("contract-key").account_id)) == 1


async def test_an_order_nobody_has_is_absent(desk: Desk) -> None:
    assert await desk.broker.find("never-sent", timeout_s=5) == Absent()
    assert await desk.broker.order(ABSENT_ID, timeout_s=5) == Absent()


async def test_a_refusal_is_a_value_with_the_brokers_words(desk: Desk) -> None:
    too_dear = await desk.broker.submit(staged(order("key-1", terms(quantity="100000000"))), timeout_s=5)
    assert isinstance(too_dear, Refused)
    assert (too_dear.code, too_dear.message, too_dear.is_duplicate_id) == (
        "40310000",
        "insufficient buying power",
        False,
    )
    unlisted = await desk.broker.submit(staged(order("key-2", symbol="NOSUCH")), timeout_s=5)
    assert isinstance(unlisted, Refused)
    assert unlisted.message == 'could not find asset "NOSUCH"'


async def test_a_cancel_is_taken_and_its_end_comes_later(desk: Desk) -> None:
    answer = await acked(desk, limit_order("key-1"))
    assert await desk.broker.cancel(answer.view.broker_order_id, timeout_s=5) == Taken()
    (canceled,) = await desk.heard("canceled", client_order_id="key-1")
    assert canceled.view is not None
    assert canceled.view.phase is Phase.CANCELED
    assert canceled.view.ended_time is not None
    again = await desk.broker.cancel(answer.view.broker_order_id, timeout_s=5)
    assert isinstance(again, Refused)
    nobody = await desk.broker.cancel(ABSENT_ID, timeout_s=5)
    assert isinstance(nobody, Refused)


async def test_a_replace_makes_a_successor_and_links_both(desk: Desk) -> None:
    answer = await acked(desk, limit_order("key-1", "10", "50"))
    await desk.heard("new", client_order_id="key-1")
    old = limit_order("key-1", "10", "50", broker_order_id=answer.view.broker_order_id)
    asked = ReplaceRequest(
        order=old, terms=terms(OrderType.LIMIT, "12", limit="51.5"), client_order_id=ClientOrderId("key-1-r1")
    )
    replaced = await desk.broker.replace(asked, timeout_s=5)
    assert isinstance(replaced, Acked), replaced
    assert replaced.view.replaces == answer.view.broker_order_id
    assert replaced.view.terms is not None
    assert (replaced.view.terms.quantity, replaced.view.terms.limit_price) == (12, D("51.5"))
    (told,) = await desk.heard("replaced", client_order_id="key-1")
    assert told.view is not None
    assert (told.view.phase, told.view.replaced_by) == (Phase.REPLACED, replaced.view.broker_order_id)
    first = await desk.broker.find("key-1", timeout_s=5)
    second = await desk.broker.find("key-1-r1", timeout_s=5)
    assert isinstance(first, Found)
    assert isinstance(second, Found)
    assert first.view.replaced_by == second.view.broker_order_id == replaced.view.broker_order_id


async def test_a_replace_the_broker_refuses_is_a_refusal(desk: Desk) -> None:
    answer = await acked(desk, order("key-1", terms(quantity="1")))
    await desk.heard("fill")
    old = limit_order("key-1", "10", "50", broker_order_id=answer.view.broker_order_id)
    asked = ReplaceRequest(
        order=old, terms=terms(OrderType.LIMIT, "12", limit="50"), client_order_id=ClientOrderId("key-1-r1")
    )
    refused = await desk.broker.replace(asked, timeout_s=5)
    assert isinstance(refused, Refused), refused
    assert not refused.is_duplicate_id


async def test_a_bracket_comes_back_with_its_legs(desk: Desk) -> None:
    asked = order(
        "key-1",
        terms(OrderType.LIMIT, "5", limit="90", tif=TimeInForce.GTC),
        order_class=OrderClass.BRACKET,
        take_profit="110",
        stop_loss=StopLoss(stop_price=D("80"), limit_price=D("79.5")),
    )
    assert desk.broker.complaint(asked) == ""
    view = (await acked(desk, asked)).view
    profit, stop = sorted(view.legs, key=lambda leg: leg.terms.type if leg.terms else "")
    assert profit.terms is not None
    assert stop.terms is not None
    assert (profit.terms.limit_price, stop.terms.stop_price, stop.terms.limit_price) == (D(110), D(80), D("79.5"))
    assert {leg.parent_broker_order_id for leg in view.legs} == {view.broker_order_id}
    assert {leg.side for leg in view.legs} == {Side.SELL}
    (listed,) = await desk.broker.open_orders()
    assert [leg.broker_order_id for leg in listed.view.legs] == [leg.broker_order_id for leg in view.legs]
    assert {leg.phase for leg in listed.view.legs} == {Phase.QUEUED}
    by_key = await desk.broker.find("key-1", timeout_s=5)
    assert isinstance(by_key, Found)
    assert [leg.broker_order_id for leg in by_key.view.legs] == [leg.broker_order_id for leg in view.legs]


async def test_the_executions_of_a_multi_leg_fill_name_the_legs(desk: Desk) -> None:
    near, far = "AAPL261218C00250000", "AAPL261218C00260000"
    asked = order(
        "key-1",
        terms(OrderType.LIMIT, "2", limit="50"),
        symbol="",
        side=None,
        asset_class=AssetClass.US_OPTION,
        order_class=OrderClass.MULTILEG,
        legs=(option_leg(near, Side.BUY, "3"), option_leg(far, Side.SELL)),
    )
    assert desk.broker.complaint(asked) == ""
    view = (await acked(desk, asked)).view
    assert (view.symbol, view.side, view.asset_class) == ("", None, AssetClass.US_OPTION)
    ids = {leg.symbol: leg.broker_order_id for leg in view.legs}
    (fill,) = await desk.heard("fill", client_order_id="key-1")
    got = {each.broker_order_id: each for each in fill.executions}
    assert set(got) == set(ids.values())
    assert {symbol: got[ids[symbol]].quantity for symbol in ids} == {near: D(6), far: D(2)}
    assert all(each.execution_id and each.cum_after == each.quantity for each in fill.executions)


async def test_crypto_is_spelled_with_a_slash_everywhere(desk: Desk) -> None:
    asked = order("key-1", terms(quantity="0.5", tif=TimeInForce.GTC), symbol="BTC/USD", asset_class=AssetClass.CRYPTO)
    assert (await acked(desk, asked)).view.symbol == "BTC/USD"
    await desk.heard("fill")
    (position,) = await desk.broker.positions()
    assert (position.symbol, position.asset_class) == ("BTC/USD", AssetClass.CRYPTO)


async def test_exact_decimals_go_there_and_come_back(desk: Desk) -> None:
    view = (await acked(desk, order("key-1", terms(quantity="0.123456789")))).view
    assert view.terms is not None
    assert view.terms.quantity == D("0.123456789")
    (fill,) = await desk.heard("fill")
    assert fill.executions[0].quantity == D("0.123456789")


def _rest(desk: Desk, count: int) -> None:
    desk.pump()  # what is put into the venue itself gets the time of its last waking
    account = desk.face.account_of("contract-key")
    for number in range(count):
        made = desk.venue.submit(
            account,
            NewOrder(
                type=VenueType.LIMIT,
                time_in_force=VenueTime.DAY,
                symbol="AAPL",
                side=VenueSide.BUY,
                quantity=D(1),
                limit_price=D(1),
                client_order_id=f"many-{number}",
            ),
        )
        assert not hasattr(made, "reason"), made


async def test_lists_are_read_to_the_last_page(desk: Desk) -> None:
    before = desk.clock.now()
    _rest(desk, 1001)
    wanted = {f"many-{number}" for number in range(1001)}
    assert {each.view.client_order_id for each in await desk.broker.open_orders()} == wanted
    desk.venue.end("many-3", Status.CANCELED)
    assert len(await desk.broker.open_orders()) == 1000
    assert {each.view.client_order_id for each in await desk.broker.orders_since(before)} == wanted
    assert await desk.broker.orders_since(desk.clock.now().replace(year=2100)) == []


async def test_executions_are_read_to_the_last_page_oldest_first(desk: Desk) -> None:
    before = desk.clock.now()
    answer = await acked(desk, limit_order("key-1", "230", "50"))
    for _ in range(230):
        desk.venue.fill("key-1", D(1), D("49.5"))
    executions = await desk.broker.executions_since(before)
    assert [each.cum_after for each in executions] == [D(n) for n in range(1, 231)]
    assert len({each.execution_id for each in executions}) == 230
    assert list(await desk.broker.executions_of(answer.view.broker_order_id)) == list(executions)
    assert all(isinstance(each, Execution) for each in executions)


async def test_what_it_promises_the_policies_may_rely_on(desk: Desk) -> None:
    for asset_class in AssetClass:
        can = desk.broker.capabilities(asset_class)
        assert (can.duplicate_refusal, can.lookup, can.settle_s) == (Refusal.FOR_EVER, Lookup.YES, SETTLE_S)
        assert can.has_execution_ids
        assert can.client_order_id_limit == 128
    whole = {asset: desk.broker.capabilities(asset).quantity_places for asset in AssetClass}
    assert whole == {AssetClass.US_EQUITY: 9, AssetClass.US_OPTION: 0, AssetClass.CRYPTO: 9}
