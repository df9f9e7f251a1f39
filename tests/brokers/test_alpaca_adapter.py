"""The adapter against a client of twenty lines: what it asks, page by page, and whom it believes."""

import json
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from orderd.brokers.alpaca.adapter import AlpacaAdapter
from orderd.brokers.alpaca.client import (
    AnswerLost,
    Arrival,
    Connected,
    Disconnected,
    Frame,
    LateAnswer,
    NotConnected,
    Request,
    Response,
)
from orderd.core.order import OrderClass, OrderRole, OrderType, PositionIntent, Side, StopLoss, TimeInForce
from orderd.core.values import BrokerOrderId, ClientOrderId
from orderd.ports import (
    Acked,
    BrokerError,
    BrokerReport,
    CannotTell,
    Found,
    Lane,
    NotSent,
    Refused,
    ReplaceRequest,
    StreamDown,
    StreamUp,
    Unknown,
    Unreadable,
)
from orderd.system import SystemClock
from tests.brokers.making import limit_order, order, staged, terms
from tests.brokers.test_alpaca_parse import PLAIN

D = Decimal
Answer = bytes | int | Exception
NOON = datetime(2026, 10, 8, 12, 0, tzinfo=UTC)


class Scripted:
    """A client that answers from a function and remembers what it was asked."""

    def __init__(self, answer: Callable[[Request], Answer], arrivals: tuple[Arrival, ...] = ()) -> None:
        self.asked: list[tuple[Lane, Request]] = []
        self._answer = answer
        self._arrivals = arrivals

    async def call(self, lane: Lane, request: Request, *, timeout_s: float) -> Response:
        assert timeout_s > 0
        self.asked.append((lane, request))
        match self._answer(request):
            case Exception() as error:
                raise error
            case int() as status:
                return Response(status=status, headers={}, body=b"")
            case body:
                return Response(status=200, headers={}, body=body)

    async def frames(self) -> AsyncGenerator[Arrival, None]:
        for arrival in self._arrivals:
            yield arrival

    async def close(self) -> None:
        """Nothing to let go of."""


def adapter(client: Scripted) -> AlpacaAdapter:
    return AlpacaAdapter(client, clock=SystemClock(), settle_s=2, requests_per_minute=200)


def row(number: int, *, legs: int = 0, hours: int = 0) -> dict[str, object]:
    time = (NOON + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    times = {"created_at": time, "submitted_at": time}
    inner = [PLAIN | times | {"id": f"b-{number}-{leg}"} for leg in range(legs)]
    return PLAIN | times | {"id": f"b-{number}", "legs": inner or None}


def pages(*rows: list[dict[str, object]]) -> Callable[[Request], Answer]:
    """Serve these pages in turn."""
    left = list(rows)
    return lambda _: json.dumps(left.pop(0)).encode()


# --------------------------------------------------------------------------------------------------------------- lists


async def test_orders_are_asked_for_nested_and_page_by_id() -> None:
    first, second = [row(n) for n in range(500)], [row(n) for n in range(500, 600)]
    client = Scripted(pages(first, second))
    found = await adapter(client).open_orders()
    assert [each.view.broker_order_id for each in found] == [f"b-{n}" for n in range(600)]
    assert json.loads(found[7].raw) == first[7]
    queries = [dict(request.query) for _, request in client.asked]
    fixed = {"status": "open", "nested": "true", "limit": "500", "direction": "desc"}
    assert queries == [fixed, fixed | {"before_order_id": "b-499"}]
    assert {lane for lane, _ in client.asked} == {Lane.READ}


async def test_a_page_that_is_short_only_without_its_legs_is_not_the_last() -> None:
    """Whether the limit counts legs is not documented."""
    client = Scripted(pages([row(n, legs=1) for n in range(250)], [row(n) for n in range(250, 260)]))
    assert len(await adapter(client).open_orders()) == 260


async def test_an_order_on_two_pages_is_listed_once() -> None:
    client = Scripted(pages([row(n) for n in range(500)], [row(n) for n in range(495, 510)]))
    found = await adapter(client).open_orders()
    assert [each.view.broker_order_id for each in found] == [f"b-{n}" for n in range(510)]


async def test_pages_that_repeat_for_ever_are_no_list() -> None:
    full = json.dumps([row(n) for n in range(500)]).encode()
    client = Scripted(lambda _: full)
    with pytest.raises(BrokerError, match="repeated"):
        await adapter(client).open_orders()
    assert len(client.asked) == 2


async def test_a_list_without_end_is_no_list() -> None:
    numbers = iter(range(10**9))
    client = Scripted(lambda _: json.dumps([row(next(numbers)) for _ in range(500)]).encode())
    with pytest.raises(BrokerError, match="pages"):
        await adapter(client).open_orders()
    assert len(client.asked) == 200


async def test_the_past_is_read_back_to_where_it_was_asked_for() -> None:
    new = [row(n, hours=3) for n in range(500)]
    mixed = [row(n, hours=-1 if n % 2 else 1) for n in range(500, 1000)]
    old = [row(n, hours=-2) for n in range(1000, 1500)]
    client = Scripted(pages(new, mixed, old, []))
    found = await adapter(client).orders_since(NOON)
    assert len(client.asked) == 3
    assert {int(each.view.broker_order_id[2:]) for each in found} == {*range(500), *range(500, 1000, 2)}
    assert dict(client.asked[0][1].query)["status"] == "all"


async def test_the_successor_of_a_replace_is_as_new_as_its_routing() -> None:
    """It keeps its ancestor's creation time."""
    successor = row(1, hours=-48) | {"submitted_at": "2026-10-08T13:00:00Z"}
    found = await adapter(Scripted(pages([successor, row(2, hours=-48)]))).orders_since(NOON)
    assert [each.view.broker_order_id for each in found] == ["b-1"]


def fill(number: int, cum: str, time: str = "2026-10-08T15:10:18.097465Z") -> dict[str, object]:
    return {
        "id": f"20261008111018097::{number:04d}", "activity_type": "FILL", "order_id": "b-1", "qty": "1",
        "price": "2", "cum_qty": cum, "transaction_time": time,
    }  # fmt: skip


async def test_executions_page_by_token_and_come_oldest_first_each_once() -> None:
    first = [fill(n, str(n + 1)) for n in range(100)]
    client = Scripted(pages(first, [fill(99, "100"), fill(100, "101")]))
    found = await adapter(client).executions_since(NOON)
    assert [each.cum_after for each in found] == [D(n) for n in range(1, 102)]
    query = dict(client.asked[0][1].query)
    assert query == {"after": "2026-10-08T11:59:59.000000Z", "direction": "asc", "page_size": "100"}
    assert dict(client.asked[1][1].query)["page_token"] == first[-1]["id"]


async def test_executions_of_one_moment_are_in_the_order_of_their_totals() -> None:
    rows = [fill(1, "3"), fill(2, "1"), fill(3, "2"), fill(4, "4", "2026-10-08T15:10:17Z")]
    found = await adapter(Scripted(pages(rows))).executions_of(BrokerOrderId("b-1"))
    assert [each.cum_after for each in found] == [4, 1, 2, 3]
    other = [fill(1, "1") | {"order_id": "b-9"}]
    client = Scripted(pages(other))
    assert await adapter(client).executions_of(BrokerOrderId("b-1")) == []
    assert dict(client.asked[0][1].query)["order_id"] == "b-1"


async def test_rows_that_are_no_trade_are_passed_over_and_unreadable_ones_are_not() -> None:
    dividend = {"id": "x", "activity_type": "DIV", "net_amount": "1"}
    assert len(await adapter(Scripted(pages([dividend, fill(1, "1")]))).executions_since(NOON)) == 1
    for broken in ({"qty": "one"}, {"price": None}, {"order_id": ""}, {"transaction_time": "noon"}):
        with pytest.raises(BrokerError):
            await adapter(Scripted(pages([fill(1, "1") | broken]))).executions_since(NOON)


async def test_activities_that_repeat_for_ever_are_no_list() -> None:
    full = json.dumps([fill(n, str(n)) for n in range(100)]).encode()
    with pytest.raises(BrokerError, match="repeated"):
        await adapter(Scripted(lambda _: full)).executions_since(NOON)


def happened(word: str, symbol: str, quantity: str, **more: object) -> dict[str, object]:
    """A row of the documentation's page about option events; all rows of one event may share an id there."""
    said = {"id": "20230721000000000::1", "activity_type": word, "date": "2023-07-21", "net_amount": "0"}
    return said | {"symbol": symbol, "qty": quantity, "status": "executed"} | more


async def test_activities_that_change_a_holding_are_told_apart_by_more_than_their_id() -> None:
    rows = [
        happened("OPEXC", "AAPL230721C00150000", "-2"),
        happened("OPTRD", "AAPL", "200", price="90", net_amount="-30000", group_id="g"),
        happened("CFEE", "ETHUSD", "-0.000195", price="1884.5"),
        happened("SPLIT", "KO", "-10"),
        happened("SPLIT", "KO", "30"),
        happened("DIV", "T", "2"),
        happened("OPEXP", "AAPL230721C00150000", "-2", status="canceled"),
        happened("OPEXP", "", "-2"),
        happened("OPASN", "AAPL230721C00150000", "0"),
    ]
    client = Scripted(pages(rows))
    found = await adapter(client).activities_since(NOON.date())
    assert [(each.kind.value, each.symbol, each.quantity, each.price, each.group_id) for each in found] == [
        ("EXERCISED", "AAPL230721C00150000", D(-2), None, ""),
        ("DELIVERED", "AAPL", D(200), D(90), "g"),
        ("FEE_IN_KIND", "ETH/USD", D("-0.000195"), D("1884.5"), ""),
        ("SPLIT", "KO", D(-10), None, ""),
        ("SPLIT", "KO", D(30), None, ""),
    ]
    assert {each.day for each in found} == {"2023-07-21"}
    query = dict(client.asked[0][1].query)
    assert query["activity_types"] == "OPEXP,OPEXC,OPASN,OPTRD,SPLIT,CFEE"
    assert query["after"] == "2026-10-07T23:59:59Z"
    with pytest.raises(BrokerError):
        await adapter(Scripted(pages([happened("SPLIT", "KO", "ten")]))).activities_since(NOON.date())


@pytest.mark.parametrize("failure", [NotConnected("x"), AnswerLost("x"), 500, 204, 301, b"", b"{}", b"<html>"])
async def test_a_second_page_that_fails_takes_the_first_with_it(failure: Answer) -> None:
    answers: list[Answer] = [json.dumps([row(n) for n in range(500)]).encode(), failure]
    with pytest.raises(BrokerError):
        await adapter(Scripted(lambda _: answers.pop(0))).open_orders()


# ------------------------------------------------------------------------------------------------------------- changes


@pytest.mark.parametrize(
    ("more", "lane"),
    [
        ({}, Lane.ENTRY),
        ({"role": OrderRole.ENTRY}, Lane.ENTRY),
        ({"role": OrderRole.STOP_LOSS}, Lane.EXIT),
        ({"role": OrderRole.TAKE_PROFIT}, Lane.EXIT),
        ({"role": OrderRole.EXIT}, Lane.EXIT),
        ({"position_intent": PositionIntent.SELL_TO_CLOSE}, Lane.EXIT),
        ({"position_intent": PositionIntent.BUY_TO_OPEN}, Lane.ENTRY),
    ],
)
async def test_exits_go_before_entries(more: dict[str, object], lane: Lane) -> None:
    client = Scripted(lambda _: AnswerLost("x"))
    await adapter(client).submit(staged(order("k", **more)), timeout_s=1)  # type: ignore[arg-type]
    assert [each for each, _ in client.asked] == [lane]


async def test_what_was_never_sent_and_what_may_have_been_are_told_apart() -> None:
    for error, kind in ((NotConnected("no route"), NotSent), (AnswerLost("cut"), Unknown)):
        broker = adapter(Scripted(lambda _, error=error: error))
        assert isinstance(await broker.submit(staged(order()), timeout_s=1), kind)
        assert isinstance(await broker.cancel(BrokerOrderId("b"), timeout_s=1), kind)
        assert isinstance(await broker.find("k", timeout_s=1), CannotTell)


async def test_a_complex_order_found_without_its_legs_is_read_again_by_its_id() -> None:
    bare = row(1) | {"order_class": "bracket"}
    whole = row(1, legs=2) | {"order_class": "bracket"}

    def answer(request: Request) -> Answer:
        return json.dumps(bare if "client_order_id" in request.path else whole).encode()

    client = Scripted(answer)
    found = await adapter(client).find("c-1", timeout_s=1)
    assert isinstance(found, Found)
    assert [leg.broker_order_id for leg in found.view.legs] == ["b-1-0", "b-1-1"]
    assert [request.path for _, request in client.asked] == ["/v2/orders:by_client_order_id", "/v2/orders/b-1"]
    assert {lane for lane, _ in client.asked} == {Lane.LOOKUP}

    gone = b'{"code":40410000,"message":"order not found for b-1"}'

    class Vanishing(Scripted):
        async def call(self, lane: Lane, request: Request, *, timeout_s: float) -> Response:
            response = await super().call(lane, request, timeout_s=timeout_s)
            is_first = "client_order_id" in request.path
            return response if is_first else Response(status=404, headers={}, body=gone)

    assert isinstance(await adapter(Vanishing(answer)).find("c-1", timeout_s=1), CannotTell)


async def test_the_body_is_exact_and_says_only_what_was_asked() -> None:
    broker = adapter(Scripted(lambda _: 500))
    plain = order("k-1", terms(quantity="0.100000000"))
    assert json.loads(broker.request_body(plain)) == {
        "symbol": "AAPL", "qty": "0.1", "side": "buy", "type": "market", "time_in_force": "day",
        "client_order_id": "k-1",
    }  # fmt: skip
    full = order(
        "k-2",
        terms(OrderType.LIMIT, "1E+3", limit="1.50", tif=TimeInForce.GTC, extended_hours=True),
        symbol="BRK.B",
        side=Side.SELL,
        order_class=OrderClass.BRACKET,
        take_profit="1.2",
        stop_loss=StopLoss(stop_price=D("1.8"), limit_price=D("1.90")),
        position_intent=PositionIntent.SELL_TO_OPEN,
    )
    assert json.loads(broker.request_body(full)) == {
        "symbol": "BRK.B", "qty": "1000", "side": "sell", "type": "limit", "time_in_force": "gtc", "limit_price": "1.5",
        "extended_hours": True, "client_order_id": "k-2", "position_intent": "sell_to_open", "order_class": "bracket",
        "take_profit": {"limit_price": "1.2"}, "stop_loss": {"stop_price": "1.8", "limit_price": "1.9"},
    }  # fmt: skip
    trailing = order("k-3", terms(OrderType.TRAILING_STOP, "1", trail_percent="0.5"))
    assert json.loads(broker.request_body(trailing))["trail_percent"] == "0.5"
    oco = order(
        "k-4", terms(OrderType.LIMIT, "1", limit="9"), order_class=OrderClass.OCO, stop_loss=StopLoss(stop_price=D(5))
    )
    body = json.loads(broker.request_body(oco))
    assert (body["take_profit"], body["stop_loss"], "limit_price" in body) == (
        {"limit_price": "9"},
        {"stop_price": "5"},
        False,
    )


async def test_a_preview_is_what_is_sent() -> None:
    client = Scripted(lambda _: 500)
    broker = adapter(client)
    await broker.submit(staged(order()), timeout_s=1)
    assert client.asked[0][1].body == broker.request_body(order())


def replacing(**changes: object) -> tuple[ReplaceRequest, dict[str, object]]:
    """A replace of b-1, and the successor an honest broker answers with."""
    old = limit_order("k", "10", "50", symbol="KO", broker_order_id="b-1")
    asked = ReplaceRequest(
        order=old, terms=terms(OrderType.LIMIT, "12", limit="51"), client_order_id=ClientOrderId("k-r1")
    )
    told = {"id": "b-2", "replaces": "b-1", "client_order_id": "k-r1", "qty": "12", "limit_price": "51"}
    return asked, PLAIN | told | changes


async def test_a_replace_names_what_changes_and_believes_the_right_successor() -> None:
    asked, told = replacing()
    client = Scripted(lambda _: json.dumps(told).encode())
    answer = await adapter(client).replace(asked, timeout_s=1)
    assert isinstance(answer, Acked)
    assert (answer.view.broker_order_id, answer.view.replaces) == ("b-2", "b-1")
    ((lane, request),) = client.asked
    assert (lane, request.method, request.path) == (Lane.ENTRY, "PATCH", "/v2/orders/b-1")
    assert json.loads(request.body or b"") == {"qty": "12", "limit_price": "51", "client_order_id": "k-r1"}


@pytest.mark.parametrize(
    "changes",
    [{"id": "b-1"}, {"replaces": "b-7"}, {"client_order_id": "k"}, {"qty": "10"}, {"side": "sell"}, {"symbol": "PEP"}],
)
async def test_a_successor_of_something_else_is_unknown(changes: dict[str, object]) -> None:
    asked, told = replacing(**changes)
    answer = await adapter(Scripted(lambda _: json.dumps(told).encode())).replace(asked, timeout_s=1)
    assert isinstance(answer, Unknown)
    assert answer.code == "ECHO_MISMATCH"


async def test_a_replace_that_cannot_be_is_not_sent() -> None:
    client = Scripted(lambda _: 500)
    market = ReplaceRequest(
        order=limit_order("k", broker_order_id="b-1"), terms=terms(), client_order_id=ClientOrderId("k-r1")
    )
    answer = await adapter(client).replace(market, timeout_s=1)
    assert isinstance(answer, Refused)
    assert answer.code == "REPLACE_TYPE"
    unsent = ReplaceRequest(order=limit_order("k"), terms=terms(), client_order_id=ClientOrderId("k-r1"))
    assert isinstance(await adapter(client).replace(unsent, timeout_s=1), NotSent)
    assert client.asked == []


# -------------------------------------------------------------------------------------------------------------- stream


async def test_arrivals_become_updates_in_their_order() -> None:
    post = Request(method="POST", path="/v2/orders", body=b"{}")
    yes = Response(status=200, headers={}, body=json.dumps(PLAIN).encode())
    no = Response(status=403, headers={}, body=b"{}")
    empty = Response(status=200, headers={}, body=b"")
    delete = Request(method="DELETE", path="/v2/orders/b-1")
    arrivals = (
        Disconnected(message="why"),
        Connected(),
        Frame(data=b'{"stream":"listening","data":{"streams":[]}}'),
        Frame(data=b"rubbish"),
        Frame(data=b'{"stream":"weather","data":{}}'),
        LateAnswer(request=post, response=yes, asked_ns=5),
        LateAnswer(request=post, response=no, asked_ns=5),
        LateAnswer(request=post, response=empty, asked_ns=5),
        LateAnswer(request=delete, response=yes, asked_ns=5),
    )
    updates = [update async for update in adapter(Scripted(lambda _: 500, arrivals)).updates()]
    down, up, rubbish, weather, late = updates
    assert (down, up) == (StreamDown(message="why"), StreamUp())
    assert isinstance(rubbish, Unreadable)
    assert isinstance(weather, Unreadable)
    assert isinstance(late, BrokerReport)
    assert late.view is not None
    assert (late.event, late.view.asked_ns, late.view.broker_order_id) == ("late_answer", 5, "b-1")
