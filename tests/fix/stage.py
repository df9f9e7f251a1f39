"""Plays the order state change tables against a venue with Alpaca's protocol, in virtual time.

The venue does nothing by itself here: what the broker does is done by the table.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from oms.v1 import order_pb2 as opb
from orderd.core.values import BrokerOrderId
from orderd.engine.api import ReplaceAsk
from orderd.engine.errors import EngineError
from orderd.venue import lifecycle, replacing
from orderd.venue.core import Venue
from orderd.venue.faults import Fault, FaultKind
from orderd.venue.money import exact
from orderd.venue.orders import Change, EventKind, NewOrder, Order, OrderType, Side, Status, TimeInForce
from tests.e2e.books import plain, state_of, totals
from tests.engine.world import World
from tests.fix.steps import Act, Row, Scenario, Step

NAME = "the-order"
SOON_S = 0.5
NEVER = timedelta(hours=1)
HELD = "held"


class Stage:
    """One order at a venue, and everybody who does something to it."""

    def __init__(self, scenario: Scenario, directory: Path) -> None:
        """Nothing is sent before `play`."""
        self.scenario = scenario
        self.world = World(directory, 1)
        self.venue.change_settings(
            is_auto_fill=False, route_delay=NEVER, cancel_delay=NEVER, replace_delay=NEVER, tells_pending=True
        )
        self.order_id = ""
        self.executions: list[str] = []
        self._submit: asyncio.Task[tuple[str, bool]] | None = None
        self._requests = itertools.count(1)

    @property
    def venue(self) -> Venue:
        """The venue."""
        return self.world.face.venue

    async def play(self) -> list[str]:
        """Play all rows; what is not as the table says, row by row."""
        await self.world.start()
        self._prepare()
        await self._submits()
        wrong: list[str] = []
        for number, row in enumerate(self.scenario.rows, start=1):
            self.world.pump()
            await self._act(row.step)
            self.world.pump()
            await asyncio.sleep(SOON_S)
            if (seen := self._seen(row.step)) != row:
                wrong.append(f"row {number}: {seen}")
        wrong += self._differences()
        await self.world.kill()
        return wrong

    # ------------------------------------------------------------------------------------------------------ beginning

    def _prepare(self) -> None:
        faults = self.venue.faults
        first = self.scenario.rows[0].step.act
        if self.scenario.is_held:
            faults.arm(Fault(kind=FaultKind.HOLD_ANSWER, method="POST", barrier=HELD))
            faults.arm(Fault(kind=FaultKind.DELAY_FRAME, event="pending_new", barrier=HELD))
        elif self.scenario.is_taken:
            self._by_hand()
        elif first is Act.REFUSES:
            said = '{"code":40310000,"message":"insufficient buying power"}'
            refusal = {"status": 403, "body": "text", "text": said, "is_accepted": False}
            faults.arm(Fault(kind=FaultKind.ANSWER_STATUS, method="POST", **refusal))  # type: ignore[arg-type]

    def _by_hand(self) -> None:
        account = next(iter(self.venue.state.accounts.values()))
        new = NewOrder(
            symbol="F",
            side=Side.BUY,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.DAY,
            quantity=Decimal(3),
            limit_price=Decimal(5),
            client_order_id=NAME,
        )
        self.venue.submit(account, new)

    async def _submits(self) -> None:
        wanted: dict[str, Any] = {"client_order_id": NAME, "symbol": "KO"}
        if self.scenario.notional:
            wanted["notional"] = self.scenario.notional
        else:
            tif = opb.TimeInForce.Value(f"TIME_IN_FORCE_{self.scenario.time_in_force}")
            wanted |= {"quantity": "10", "limit_price": "20", "time_in_force": tif}
        self._wanted = wanted
        self.order_id, _ = await self.world.submit(**wanted)
        await asyncio.sleep(SOON_S if not self.scenario.is_held else 0)

    # ----------------------------------------------------------------------------------------------------------- acts

    async def _act(self, step: Step) -> None:
        acts: dict[Act, Callable[[Step], Awaitable[None] | object]] = {
            Act.TAKES: lambda _: self.venue.faults.barriers.release(HELD),
            Act.REFUSES: lambda _: None,
            Act.WORKS: lambda _: self._route(),
            Act.FILLS: self._fill,
            Act.CANCELS: lambda _: self.venue.end(self._current.order_id, Status.CANCELED),
            Act.EXPIRES: lambda _: self.venue.end(self._current.order_id, Status.EXPIRED),
            Act.REJECTS: lambda _: self.venue.end(self._current.order_id, Status.REJECTED),
            Act.ASKS_CANCEL: lambda _: self.world.cancel(self.order_id),
            Act.REFUSES_CANCEL: lambda _: self._refuse_cancel(),
            Act.ASKS_REPLACE: self._ask_replace,
            Act.IS_TOLD_NO: self._is_told_no,
            Act.REPLACES: lambda _: self._finish_replace(),
            Act.REFUSES_REPLACE: lambda _: self._refuse_replace(),
            Act.REPLACES_UNASKED: self._replace_unasked,
            Act.SAYS: self._say,
            Act.IS_READ: lambda _: self._read(),
            Act.BUSTS: lambda step: self.venue.bust(self.executions[step.number - 1]),
            Act.CORRECTS: self._correct,
            Act.SUBMITS_AGAIN: lambda _: self._again(),
        }
        doing = acts[step.act](step)
        if isinstance(doing, Awaitable):
            await doing

    @property
    def _current(self) -> Order:
        """The venue's order: the last of its chain."""
        order = self.venue.find(NAME)
        while order.replaced_by:
            order = self.venue.find(order.replaced_by)
        return order

    def _route(self) -> None:
        exact(lifecycle.route)(self.venue.state, self._current.order_id)

    def _fill(self, step: Step) -> None:
        self.venue.fill(self._current.order_id, Decimal(step.quantity), Decimal(step.price))
        self.executions.append(list(self.venue.ledger.executions)[-1])

    def _refuse_cancel(self) -> None:
        order = self._current
        is_filled = order.status is Status.FILLED
        self.venue.mark(order.order_id, order.status if is_filled else Status.NEW, EventKind.ORDER_CANCEL_REJECTED)

    async def _ask_replace(self, step: Step) -> None:
        """The caller does not wait for the proof, which the table has still to bring."""
        asked = asyncio.create_task(self.world.replace(self.order_id, self._terms(step)))
        await asyncio.sleep(SOON_S)
        asked.cancel()

    def _terms(self, step: Step) -> ReplaceAsk:
        return ReplaceAsk(
            request_id=f"r-{next(self._requests)}",
            quantity=Decimal(step.quantity) if step.quantity else None,
            limit_price=Decimal(step.price) if step.price else None,
        )

    async def _is_told_no(self, step: Step) -> None:
        with pytest.raises(EngineError):
            await self.world.replace(self.order_id, self._terms(step))

    def _successor(self) -> Order:
        chain = [order for order in self.venue.ledger.orders.values() if order.replaces == self._current.order_id]
        return chain[-1]

    def _finish_replace(self) -> None:
        old, new = self._current.order_id, self._successor().order_id
        exact(replacing.finish_replace)(self.venue.state, old, new)
        self._route()

    def _refuse_replace(self) -> None:
        """The old order is somewhere else by then; the venue finds that out when the replace is due."""
        order, new = self._current, self._successor().order_id
        if order.status is Status.PENDING_REPLACE and not order.filled_quantity:
            self.venue.mark(order.order_id, Status.NEW, EventKind.RESTATED)
        exact(replacing.finish_replace)(self.venue.state, order.order_id, new)

    def _replace_unasked(self, step: Step) -> None:
        change = Change(
            quantity=Decimal(step.quantity) if step.quantity else None,
            limit_price=Decimal(step.price) if step.price else None,
        )
        self.venue.replace_by_person(self._current.order_id, change)
        self._finish_replace()

    def _say(self, step: Step) -> None:
        order = self._current
        status = order.status if step.word == "restated" else Status(step.word)
        self.venue.mark(order.order_id, status, EventKind(step.word))

    async def _read(self) -> None:
        workers = self.world.alive.workers
        await workers.reader.read(BrokerOrderId(self._current.order_id))

    def _correct(self, step: Step) -> None:
        old = self.executions[step.number - 1]
        event = self.venue.correct(old, Decimal(step.quantity), Decimal(step.price))
        self.executions[step.number - 1] = event.execution_id

    async def _again(self) -> None:
        assert await self.world.submit(**self._wanted) == (self.order_id, True)

    # ------------------------------------------------------------------------------------------------------- judgement

    def _order(self) -> opb.Order:
        return next(order for order in self.world.orders() if order.order_id == self.order_id)

    def _seen(self, step: Step) -> Row:
        return row_of(self._order(), step)

    def _differences(self) -> Sequence[str]:
        """Of the venue's executions and ours, at the end."""
        order = self._order()
        quantity, average = totals(self.world.books().executions_of(*order.broker_order_ids))
        ours = (Decimal(order.filled_quantity), Decimal(order.average_fill_price) if quantity else None)
        return [] if ours == (quantity, average) else [f"{ours}, and the venue executed {quantity} at {average}"]


def row_of(order: opb.Order, step: Step) -> Row:
    """The order, as it is published, as a row of the table."""
    flags = "C" * order.pending_cancel + "R" * order.pending_replace
    average = plain(order.average_fill_price) if order.average_fill_price else ""
    return Row(step, state_of(order), order.filled_quantity, order.leaves_quantity, average, flags)
