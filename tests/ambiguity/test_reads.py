"""The ambiguity matrix of what is read: a look-up, an order by its id, lists, executions, the account.

A bad answer to a question proves nothing: nothing is concluded while it is bad, and the truth is there when it is not.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest

from orderd.venue.dialect import DuplicateIds, Lookup
from orderd.venue.faults import FaultKind
from orderd.venue.orders import Status
from tests.ambiguity import answers
from tests.ambiguity.answers import Did, Row, Says
from tests.ambiguity.desk import KNOWN_S, SYMBOLS, VERDICT_S, Desk, some, trade
from tests.ambiguity.verdicts import A_FEW, BROKERS, Broker
from tests.e2e.books import state_of
from tests.reach import Reached

BY_CLIENT_ID = "/v2/orders:by_client_order_id"
NEVER_BY_ITSELF = 100_000
"""Seconds between reconciliations: the read in question is the only evidence."""
BAD_FOR_S = 9.0
SHORTEST = 150
"""Bytes of the answer that there is no such order. (And nobody lies about what an order is that is not there.)"""
ALPACA = Broker(DuplicateIds.FOR_EVER, Lookup.YES, has_execution_ids=True)
ABSENT = Row(
    "404 'order not found', which is a lie",
    {
        "kind": FaultKind.ANSWER_STATUS,
        "status": 404,
        "body": "text",
        "text": '{"code":40410000,"message":"order not found for x"}',
    },
    Did.ALL,
)
READS = [row for row in answers.READS if row.says is not Says.NOT_SENT]
"""(A 429 in the broker's own words holds everything back until the next minute.)"""


class Cell(NamedTuple):
    """A row, and what became of the submit that is looked up."""

    number: int
    row: Row
    is_there: bool

    def __str__(self) -> str:
        """For whoever reads why it went wrong."""
        return f"{self.row.name} | {'there' if self.is_there else 'not there'} | cell-{self.number}"

    @property
    def name(self) -> str:
        """Its client order id."""
        return f"cell-{self.number}"


async def unheard(desk: Desk, cells: Sequence[Cell]) -> dict[int, str]:
    """An order without an answer for each cell, in a silent stream."""
    desk.hush()
    ids: dict[int, str] = {}
    for cell in cells:
        lost = FaultKind.LOSE_ANSWER if cell.is_there else FaultKind.LOSE_REQUEST
        desk.arm(kind=lost, method="POST", order=cell.name)
        symbol = SYMBOLS[cell.number % len(SYMBOLS)]
        wanted = {"client_order_id": cell.name, "symbol": symbol, "quantity": str(cell.number + 1)}
        ids[cell.number], _ = await desk.submit(**wanted, limit_price="0.5", trace_id=cell.name)
    return ids


def states(desk: Desk, ids: Mapping[int, str]) -> dict[int, tuple[str, int]]:
    orders = {order.order_id: order for order in desk.orders()}
    return {n: (state_of(orders[i]), desk.sent(orders[i].client_order_id)) for n, i in ids.items()}


def expected(cell: Cell, broker: Broker) -> tuple[str, int]:
    if cell.is_there:
        return "ACCEPTED", 1
    # Sent again into a silent stream: its answer says that it is queued.
    return ("SUBMITTED", 2) if broker.duplicate_ids is DuplicateIds.FOR_EVER else ("SUBMIT_FAILED", 1)


async def look_badly(desk: Desk, broker: Broker, cells: Sequence[Cell], faults: Sequence[dict[str, Any]]) -> None:
    for fault in faults:
        desk.arm(**fault, times=0)
    ids = await unheard(desk, cells)
    await asyncio.sleep(BAD_FOR_S)
    early = states(desk, ids)
    wrong = [f"{cell}: {early[cell.number]}" for cell in cells if early[cell.number] != ("UNKNOWN", 1)]
    desk.face.venue.faults.clear()
    desk.hush()
    await asyncio.sleep(VERDICT_S)
    late = states(desk, ids)
    wrong += [f"{c}: {late[c.number]} at rest" for c in cells if late[c.number] != expected(c, broker)]
    assert not wrong, "\n".join(wrong)
    desk.calm()
    await asyncio.sleep(KNOWN_S)
    assert not desk.differences()
    assert not await desk.discrepancies()


@pytest.mark.scaled
@pytest.mark.parametrize("broker", [b for b in BROKERS if b.lookup is Lookup.YES], ids=str)
def test_a_look_up_by_client_id_with_a_bad_answer(broker: Broker, reached: Reached) -> None:
    another = answers.lies({"another client id": answers.LIES["another client id"]})
    pairs = some([(row, is_there) for row in (*READS, *another) for is_there in (True, False)], broker)
    cells = [
        Cell(number, row, is_there)
        for number, (row, is_there) in enumerate(pairs)
        if is_there or (row.fault.get("at_byte", 0) <= SHORTEST and row.fault["kind"] is not FaultKind.LIE)
    ]
    faults = [cell.row.armed(method="GET", path=BY_CLIENT_ID, order=cell.name) for cell in cells]
    trade(
        broker,
        lambda desk: look_badly(desk, broker, cells, faults),
        reconcile_interval_s=NEVER_BY_ITSELF,
    )
    reached("P4", "answers to a look-up that went wrong: each way, order there or not, and kind of broker", len(cells))


IN_LISTS = [row for row in READS if row.name != "200 '[]'" and row.fault.get("at_byte", 0) <= SHORTEST]
"""An empty list is a list."""


@pytest.mark.scaled
@pytest.mark.parametrize("broker", [b for b in BROKERS if b.lookup is Lookup.LIST_ONLY], ids=str)
def test_a_look_up_in_a_list_with_a_bad_answer(broker: Broker, reached: Reached) -> None:
    rows = some([row for row in IN_LISTS if "cut" not in row.name], broker, part=20)
    for row in rows:
        cells = [Cell(number, row, is_there=number % 2 == 0) for number in range(4)]
        fault = row.armed(method="GET", path="/v2/orders")
        trade(
            broker,
            lambda desk, cells=cells, fault=fault: look_badly(desk, broker, cells, [fault]),  # type: ignore[misc]
            reconcile_interval_s=NEVER_BY_ITSELF,
        )
    reached(
        "P4", "answers to a look-up that went wrong: each way, order there or not, and kind of broker", 4 * len(rows)
    )


@pytest.mark.parametrize("broker", [b for b in BROKERS if b.lookup is Lookup.YES], ids=str)
@pytest.mark.parametrize("lie", ["another symbol", "another side", "another quantity"])
def test_a_look_up_that_finds_another_order_adopts_nothing_and_halts(
    broker: Broker, lie: str, reached: Reached
) -> None:
    async def day(desk: Desk) -> None:
        cell = Cell(0, answers.lies({lie: answers.LIES[lie]})[0], is_there=True)
        fields = {"symbol": "KO"} if "symbol" in lie else cell.row.fault["fields"]
        desk.arm(kind=FaultKind.LIE, fields=fields, method="GET", path=BY_CLIENT_ID, times=0)
        ids = await unheard(desk, [cell])
        await asyncio.sleep(VERDICT_S)
        assert states(desk, ids) == {0: ("UNKNOWN", 1)}
        assert [each.kind for each in await desk.discrepancies()] == ["ADOPTION_MISMATCH"]
        assert "ADOPTION_MISMATCH" in desk.alive.workers.account.halt_reason
        denied, _ = await desk.submit(client_order_id="after")
        assert desk.state(denied) == "DENIED"

    trade(broker, day, reconcile_interval_s=NEVER_BY_ITSELF)
    reached("P4", "look-ups that found an order that differs in what was asked", 1)


@pytest.mark.parametrize("broker", [b for b in BROKERS if b.lookup is Lookup.YES], ids=str)
def test_a_lie_that_it_is_not_there_makes_no_second_order(broker: Broker, reached: Reached) -> None:
    async def day(desk: Desk) -> None:
        cells = [Cell(number, ABSENT, is_there=True) for number in range(3)]
        for cell in cells:
            desk.arm(**ABSENT.armed(method="GET", path=BY_CLIENT_ID, order=cell.name), times=0)
        ids = await unheard(desk, cells)
        await asyncio.sleep(BAD_FOR_S)
        is_refused = broker.duplicate_ids is DuplicateIds.FOR_EVER
        early = {state for state, _ in states(desk, ids).values()}
        assert early <= ({"UNKNOWN", "SUBMITTED"} if is_refused else {"SUBMIT_FAILED"})
        desk.calm()
        await asyncio.sleep(VERDICT_S)
        assert {state for state, _ in states(desk, ids).values()} == {"ACCEPTED"}
        assert not desk.books().doubles()
        assert not desk.differences()
        kinds = {each.kind for each in await desk.discrepancies()}
        assert kinds == (set() if is_refused else {"REVIVED"})

    trade(broker, day, reconcile_interval_s=NEVER_BY_ITSELF)
    reached("P4", "look-ups that said absent of an order that was there", 3)


# -------------------------------------------------------------------------------------------------------------- by id


async def read_badly(desk: Desk, cells: Sequence[Cell]) -> None:
    """The broker has ended each order unheard; our cancel is refused for that, and the read that is due is answered
    badly.
    """
    ids: dict[int, str] = {}
    for cell in cells:
        symbol = SYMBOLS[cell.number % len(SYMBOLS)]
        wanted = {"client_order_id": cell.name, "symbol": symbol, "quantity": str(cell.number + 1)}
        ids[cell.number], _ = await desk.submit(**wanted, limit_price="0.5", trace_id=cell.name)
    await asyncio.sleep(1)
    desk.hush()
    for cell in cells:
        broker_order_id = desk.order(ids[cell.number]).broker_order_id
        desk.face.venue.end(broker_order_id, Status.EXPIRED)
        desk.arm(**cell.row.armed(method="GET", order=broker_order_id), times=0)
        await desk.cancel(ids[cell.number])
    await asyncio.sleep(BAD_FOR_S)
    orders = {order.order_id: order for order in desk.orders()}
    early = {n: (state_of(orders[i]), orders[i].pending_cancel) for n, i in ids.items()}
    wrong = [f"{cell}: {early[cell.number]}" for cell in cells if early[cell.number] != ("ACCEPTED", True)]
    desk.face.venue.faults.clear()
    desk.hush()
    await asyncio.sleep(KNOWN_S + VERDICT_S)
    late = {n: state for n, (state, _) in states(desk, ids).items()}
    wrong += [f"{cell}: {late[cell.number]} at rest" for cell in cells if late[cell.number] != "EXPIRED"]
    assert not wrong, "\n".join(wrong)
    assert not desk.differences()


@pytest.mark.scaled
@pytest.mark.parametrize("broker", A_FEW, ids=str)
def test_an_order_read_by_its_id_with_a_bad_answer(broker: Broker, reached: Reached) -> None:
    another = answers.lies({"another order": {"id": "b0000000-0000-4000-8000-000000000000"}})
    rows = some([*READS, *another], (broker, "by id"))
    cells = [Cell(number, row, is_there=True) for number, row in enumerate(rows)]
    trade(broker, lambda desk: read_badly(desk, cells), reconcile_interval_s=NEVER_BY_ITSELF)
    reached("P4", "answers to a read by id that went wrong: each way and kind of broker", len(cells))


# -------------------------------------------------------------------------------------------------------------- lists

LISTS: Mapping[str, dict[str, Any]] = {
    "open orders": {"path": "/v2/orders"},
    "orders since": {"path": "/v2/orders", "skip": 1},
    "executions": {"path": "/v2/account/activities"},
    "the account": {"path": "/v2/account"},
}


@pytest.mark.scaled
@pytest.mark.parametrize("place", LISTS)
def test_a_list_with_a_bad_answer_is_no_list(place: str, reached: Reached) -> None:
    rows = some(IN_LISTS, place, part=4)

    async def day(desk: Desk) -> None:
        order_id, _ = await desk.submit(client_order_id="rests", quantity="10", limit_price="50")
        await asyncio.sleep(5)
        desk.hush()
        desk.pump()
        desk.face.venue.fill("rests")
        for row in rows:
            desk.arm(**row.armed(method="GET"), **LISTS[place])
            before = len(desk.events())
            assert not await desk.reconcile(), row.name
            assert len(desk.events()) == before, row.name
        assert desk.state(order_id) == "ACCEPTED"
        assert not await desk.discrepancies()
        desk.calm()
        assert await desk.reconcile()
        assert desk.state(order_id) == "FILLED"
        assert not desk.differences()

    trade(ALPACA, day, reconcile_interval_s=NEVER_BY_ITSELF)
    reached("P4", "answers to a list that went wrong: each way and kind of list", len(rows))


@pytest.mark.parametrize("place", ["open orders", "orders since"])
def test_a_list_that_leaves_orders_out_ends_none(place: str) -> None:
    """Absent from a list is never "canceled": each is read by its id."""
    nothing = Row("200 []", {"kind": FaultKind.ANSWER_STATUS, "status": 200, "body": "text", "text": "[]"}, Did.ALL)

    async def day(desk: Desk) -> None:
        ids = [
            (await desk.submit(client_order_id=f"rests-{n}", quantity="10", limit_price="50", trace_id=f"t-{n}"))[0]
            for n in range(3)
        ]
        await asyncio.sleep(5)
        for _ in range(3):
            desk.arm(**nothing.armed(method="GET"), **LISTS[place])
            assert await desk.reconcile()
        assert {desk.state(order_id) for order_id in ids} == {"ACCEPTED"}
        assert not await desk.discrepancies()

    trade(ALPACA, day, reconcile_interval_s=NEVER_BY_ITSELF)


def test_executions_left_out_of_their_list_are_inferred_and_explained_later() -> None:
    nothing = Row("200 []", {"kind": FaultKind.ANSWER_STATUS, "status": 200, "body": "text", "text": "[]"}, Did.ALL)

    async def day(desk: Desk) -> None:
        order_id, _ = await desk.submit(client_order_id="rests", quantity="10", limit_price="50")
        await asyncio.sleep(5)
        desk.hush()
        desk.pump()
        desk.face.venue.fill("rests")
        desk.arm(**nothing.armed(method="GET"), path="/v2/account/activities")
        assert await desk.reconcile()
        assert (desk.state(order_id), desk.order(order_id).filled_quantity) == ("FILLED", "10")
        desk.calm()
        assert await desk.reconcile()
        assert not desk.differences(), "with the real execution in the place of the inferred one"

    trade(ALPACA, day, reconcile_interval_s=NEVER_BY_ITSELF)
