"""Positions over a real socket: both figures, pages, filters and bad questions."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import grpc
import pytest
import pytest_asyncio

from oms.v1 import order_pb2 as opb
from oms.v1 import position_service_pb2 as pb
from oms.v1 import position_service_pb2_grpc
from orderd.core.discrepancies import Discrepancy, DiscrepancyKind
from orderd.core.order import AssetClass, Side
from orderd.core.values import AccountId
from orderd.desk.explaining import Seen
from orderd.desk.positions import PositionBook
from orderd.ports import BrokerPosition
from orderd.server.desk_services import DeskParts
from tests.desk.fills import Tail, Tape
from tests.server.conftest import House, open_house, refused
from tests.storage.making import START

BUY, SELL = Side.BUY, Side.SELL
CALL = "AAPL260117C00250000"
D = Decimal


class Desk:
    """What the service asks, with a broker that says what a test tells it."""

    def __init__(self) -> None:
        self.book: PositionBook
        self.said: Seen | None = None
        self.differing = ""

    async def seen(self, account_id: str) -> Seen | None:
        return self.said if account_id == "paper" else None

    def discrepancy(self, account_id: str, symbol: str) -> Discrepancy | None:
        if symbol != self.differing:
            return None
        return Discrepancy(
            discrepancy_id="d-1",
            account_id=AccountId(account_id),
            kind=DiscrepancyKind.POSITION_DIFFERS,
            subject=symbol,
            expected="1",
            observed="2",
            opened_time=START,
        )

    def says(self, *positions: BrokerPosition) -> None:
        self.said = Seen(positions={each.symbol: each for each in positions}, at=START, at_ns=0)


class Shown:
    """A server, its tape, and its desk."""

    def __init__(self, house: House, desk: Desk) -> None:
        self.desk = desk
        self.journal = house.engine.journal
        desk.book = PositionBook(self.journal, Tail(self.journal))
        self.tape = Tape(self.journal)
        self.calls = position_service_pb2_grpc.PositionServiceStub(house.channel)

    async def trade(self, side: Side, quantity: str, price: str = "10", **about: object) -> None:
        await self.tape.trade(str(self.tape.second), side, quantity, price, **about)

    async def all(self, **fields: object) -> list[pb.Position]:
        return list((await self.calls.ListPositions(pb.ListPositionsRequest(**fields))).positions)

    async def get(self, symbol: str, **fields: object) -> pb.Position:
        return (await self.calls.GetPosition(pb.GetPositionRequest(symbol=symbol, **fields))).position


@pytest_asyncio.fixture
async def shown(tmp_path: Path) -> AsyncIterator[Shown]:
    desk = Desk()
    async with open_house(tmp_path, desk=DeskParts(positions=desk)) as house:
        yield Shown(house, desk)


async def test_both_figures_in_full(shown: Shown) -> None:
    await shown.trade(BUY, "10", "86", symbol="KO", strategy="a")
    await shown.trade(BUY, "4", "90.5", symbol="KO", strategy="b")
    await shown.trade(SELL, "6", "87", symbol="KO", strategy="a")
    shown.desk.differing = "KO"
    shown.desk.says(
        BrokerPosition(
            symbol="KO",
            quantity=D(9),
            average_entry_price=D("87.25"),
            market_value=D(783),
            cost_basis=D("785.25"),
            current_price=D(87),
            unrealized_pl=D("-2.25"),
            unrealized_intraday_pl=D("1.5"),
            quantity_available=D(3),
            asset_class=AssetClass.US_EQUITY,
        )
    )
    held = await shown.get("KO", account_id="paper")
    assert (held.account_id, held.symbol, held.asset_class) == ("paper", "KO", opb.ASSET_CLASS_US_EQUITY)
    assert (held.fill_quantity, held.average_price, held.opening_quantity, held.multiplier) == ("8", "88.25", "", "1")
    assert [(s.strategy, s.quantity, s.average_price, s.realized_pnl) for s in held.strategies] == [
        ("a", "4", "86", "6"), ("b", "4", "90.5", "0"),
    ]  # fmt: skip
    assert (held.broker_quantity, held.broker_average_entry_price, held.cost_basis) == ("9", "87.25", "785.25")
    assert (held.market_value, held.current_price, held.unrealized_pnl) == ("783", "87", "-2.25")
    assert (held.unrealized_intraday_pnl, held.available_quantity) == ("1.5", "3")
    assert held.broker_time.ToDatetime(START.tzinfo) == START
    assert held.discrepancy_id == "d-1"
    assert held.sequence > 0
    assert await shown.all() == [held]
    assert (await shown.calls.ListPositions(pb.ListPositionsRequest())).sequence == shown.journal.head


async def test_a_broker_that_never_answered_leaves_its_fields_empty(shown: Shown) -> None:
    await shown.trade(BUY, "10", symbol="KO")
    held = await shown.get("KO")
    assert (held.fill_quantity, held.broker_quantity, held.HasField("broker_time")) == ("10", "", False)
    shown.desk.says()
    assert (await shown.get("KO")).broker_quantity == "0"


async def test_what_only_the_broker_holds_stands_at_the_end(shown: Shown) -> None:
    await shown.trade(BUY, "10", symbol="KO")
    shown.desk.says(BrokerPosition(symbol=CALL, quantity=D(-2)), BrokerPosition(symbol="KO", quantity=D(10)))
    known, unknown = await shown.all()
    assert (known.symbol, unknown.symbol, unknown.position_id, unknown.version) == ("KO", CALL, "", 0)
    assert (unknown.broker_quantity, unknown.fill_quantity, unknown.underlying) == ("-2", "0", "AAPL")
    assert unknown.option.expiry_date == "2026-01-17"
    assert (await shown.get(CALL)).broker_quantity == "-2"
    assert await shown.all(strategies=["a"]) == []
    assert [each.symbol for each in await shown.all(underlyings=["AAPL"])] == [CALL]
    assert [each.symbol for each in await shown.all(expires_on_or_before="2026-01-16")] == []


async def test_history_keeps_what_was_closed(shown: Shown) -> None:
    for price in ("10", "20"):
        await shown.trade(BUY, "5", price, symbol="KO")
        await shown.trade(SELL, "5", "30", symbol="KO")
    shown.desk.says()
    assert await shown.all() == []
    newest, oldest = await shown.all(include_closed=True)
    assert [each.strategies[0].realized_pnl for each in (newest, oldest)] == ["50", "100"]
    assert newest.HasField("closed_time")
    assert newest.broker_quantity == ""
    last = await shown.get("KO")
    assert (last.position_id, last.broker_quantity) == (newest.position_id, "0")


async def test_filters(shown: Shown) -> None:
    await shown.trade(BUY, "1", symbol="KO", strategy="a")
    await shown.trade(BUY, "2", symbol="KO", strategy="b")
    await shown.trade(BUY, "3", symbol="MSFT", strategy="b")
    await shown.trade(BUY, "4", symbol=CALL, asset_class=AssetClass.US_OPTION, multiplier=D(100))
    for fields, symbols in (
        ({"symbols": ["KO", "MSFT"]}, ["MSFT", "KO"]),
        ({"strategies": ["a"]}, ["KO"]),
        ({"strategies": ["a", "b"]}, ["MSFT", "KO"]),
        ({"underlyings": ["AAPL"]}, [CALL]),
        ({"expires_on_or_after": "2026-01-17", "expires_on_or_before": "2026-01-17"}, [CALL]),
        ({"expires_on_or_after": "2026-01-18"}, []),
        ({"account_ids": ["paper"], "symbols": ["AMD"]}, []),
    ):
        assert [each.symbol for each in await shown.all(**fields)] == symbols, fields
    option = await shown.get(CALL)
    assert (option.multiplier, option.underlying, option.option.strike) == ("100", "AAPL", "250")


@pytest.mark.parametrize("strategies", [[], ["even"]])
async def test_pages(shown: Shown, strategies: list[str]) -> None:
    for number in range(7):
        await shown.trade(BUY, "1", symbol=f"S{number}", strategy="odd" if number % 2 else "even")
    shown.desk.says(BrokerPosition(symbol="ZZZ", quantity=D(1)))
    request = pb.ListPositionsRequest(page_size=2, strategies=strategies)
    found: list[str] = []
    sizes: list[int] = []
    while True:
        page = await shown.calls.ListPositions(request)
        found += [each.symbol for each in page.positions]
        sizes.append(len(page.positions))
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    wanted = [f"S{n}" for n in range(6, -1, -1) if not strategies or n % 2 == 0]
    assert found == ([*wanted, "ZZZ"] if not strategies else wanted)
    assert all(size <= 2 for size in sizes)


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        (pb.ListPositionsRequest(page_size=-1), ["page_size"]),
        (pb.ListPositionsRequest(symbols=["A" * 33], strategies=[""]), ["symbols[0]", "strategies[0]"]),
        (pb.ListPositionsRequest(account_ids=["\n"], underlyings=["x" * 33]), ["account_ids[0]", "underlyings[0]"]),
        (pb.ListPositionsRequest(expires_on_or_after="2026-02-30"), ["expires_on_or_after"]),
        (pb.ListPositionsRequest(expires_on_or_before="tomorrow"), ["expires_on_or_before"]),
        (
            pb.ListPositionsRequest(expires_on_or_after="2026-02-02", expires_on_or_before="2026-02-01"),
            ["expires_on_or_before"],
        ),
        (pb.ListPositionsRequest(page_token="made up"), ["page_token"]),
        (pb.GetPositionRequest(), ["symbol"]),
        (pb.GetPositionRequest(symbol="A" * 33, account_id="x" * 129), ["account_id", "symbol"]),
    ],
)
async def test_every_bad_field_is_named(shown: Shown, request_: object, fields: list[str]) -> None:
    is_list = isinstance(request_, pb.ListPositionsRequest)
    error = await refused((shown.calls.ListPositions if is_list else shown.calls.GetPosition)(request_))
    assert (error.code, error.fields) == (grpc.StatusCode.INVALID_ARGUMENT, fields)


async def test_what_nobody_knows_is_not_found(shown: Shown) -> None:
    error = await refused(shown.calls.GetPosition(pb.GetPositionRequest(symbol="KO")))
    assert (error.code, error.reason) == (grpc.StatusCode.NOT_FOUND, "POSITION_NOT_FOUND")
    error = await refused(shown.calls.GetPosition(pb.GetPositionRequest(symbol="KO", account_id="nobody")))
    assert error.reason == "ACCOUNT_NOT_FOUND"
    error = await refused(shown.calls.ListPositions(pb.ListPositionsRequest(account_ids=["nobody"])))
    assert error.reason == "ACCOUNT_NOT_FOUND"


async def test_with_several_accounts_one_must_be_named(tmp_path: Path) -> None:
    async with open_house(tmp_path, ("paper", "other"), desk=DeskParts(positions=Desk())) as house:
        calls = position_service_pb2_grpc.PositionServiceStub(house.channel)
        error = await refused(calls.GetPosition(pb.GetPositionRequest(symbol="KO")))
        assert (error.reason, error.fields) == ("ACCOUNT_REQUIRED", ["account_id"])
