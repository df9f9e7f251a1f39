"""The judgement of a day: the faults have stopped, and both sides' books must agree, in time and exactly."""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from orderd.engine.api import Wait
from orderd.venue.faults import Fault, FaultKind
from orderd.venue.orders import ExecutionState, Status
from tests.e2e.books import COUNTED, state_of
from tests.engine.world import ACCOUNT
from tests.faults.referee import OPEN

if TYPE_CHECKING:
    from tests.faults.chaos import Day

AGREE_S = 30.0
"""Virtual seconds after the last fault within which every order is as the broker has it (promise P8)."""
BOOKED_S = 5.0
"""Virtual seconds after a reconnect within which missed fills are booked (promise P8)."""
LOOK_S = 0.25
PRINTED = Decimal("1e-8")
UNHEARD_BUSTS = frozenset(
    {
        "QUANTITY_DIFFERS",
        "AVERAGE_DIFFERS",
        "EXECUTION_CHANGED",
        "FILLED_SHORT",
        "EXECUTIONS_MISSING",
        "PRICE_MISSING",
        "STATE_DIFFERS",
    }
)


class Rest:
    """One day's end."""

    def __init__(self, day: "Day") -> None:
        """Nothing goes wrong any more from here on."""
        self._day = day
        self._world = day.world
        self._referee = day.referee

    async def judge(self) -> None:
        """Agreement; again with everything canceled; again after a stream that was away; again after a restart."""
        await self._agree(AGREE_S)
        await self._records()
        await self._miss_fills()
        await self._cancel_all()
        await self._agree(AGREE_S)
        await self._records()
        excused = self.excused()
        left = [
            f"{order.order_id} {state_of(order)}"
            for order in self._referee.orders()
            if state_of(order) in OPEN and order.order_id not in excused
        ]
        assert not left, left
        await self._world.restart()
        await self._agree(AGREE_S)
        await self._world.kill()
        self._referee.check_file()
        self._day.check()

    async def _agree(self, within_s: float) -> None:
        """Look until both sides agree."""
        await self._wait(self._complaints, within_s, "after the last fault")

    async def _wait(self, complaints: Callable[[], list[str]], within_s: float, what: str) -> None:
        began = self._referee.now()
        while said := complaints():
            waited = self._referee.now() - began
            assert waited <= within_s, "\n".join([f"{waited:g} s {what}:", *said[:10]])
            await asyncio.sleep(LOOK_S)
            _ = self._world.alive
            self._day.check()
        self._day.slowest_s = max(self._day.slowest_s, self._referee.now() - began)

    def _complaints(self) -> list[str]:
        self._referee.committed()
        if not all(w.account.is_recovered for w in self._world.alive.all_workers.values()):
            return ["not recovered"]
        if unsettled := self._referee.unsettled():
            return unsettled
        books, excused = self._world.books(), self.excused()
        differing = [
            text
            for order in self._referee.orders()
            if order.order_id not in excused
            for text in books.disagreements(order, self._referee.fills(order.order_id))
        ]
        lost = set(self._day.ids.values()) - self._referee.told.keys()
        return differing + [f"{order_id} was answered and is lost" for order_id in sorted(lost)]

    async def _records(self) -> None:
        """What differed and agrees now has no open record; what an operator must see has one."""
        told = await self._reconciled()
        # Now: it may have brought in an order that nobody had heard of.
        excused, lied_about, overfilled = self.excused(), self._lied_about(), self._overfilled()
        wanted = {("OVERFILL", order_id) for order_id in overfilled}
        may = wanted | {("REVIVED", order_id) for order_id in lied_about}
        may |= {("EXECUTION_CHANGED", order_id) for order_id in self._restated()}
        if any(key not in may and key[1] not in excused for key in told):
            # What it finds, and what a word that was under way settles meanwhile, the next one closes.
            await asyncio.sleep(1)
            told = await self._reconciled()
        odd = [(*key, *said) for key, said in told.items() if key not in may and key[1] not in excused]
        assert not odd, odd
        overlooked = [
            order_id
            for order_id, is_elder in excused.items()
            if not is_elder and self._differs(order_id) and not any((kind, order_id) in told for kind in UNHEARD_BUSTS)
        ]
        assert not overlooked, f"differences without a record: {overlooked}"
        assert wanted <= told.keys() | {("OVERFILL", order_id) for order_id in excused}, wanted - told.keys()

    async def _reconciled(self) -> dict[tuple[str, str], tuple[str, str]]:
        """The open records after a reconciliation."""
        for account_id in self._world.account_ids:
            assert await self._world.reconcile(account_id), "a reconciliation failed without a fault"
        self._referee.committed()
        return {(d.kind, d.subject): (d.expected, d.observed) for d in await self._world.discrepancies()}

    def _differs(self, order_id: str) -> bool:
        """Whether it shows in what the broker prints: the totals, of which it prints the average to 9 places."""
        order = self._referee.told[order_id].order
        rows = {row.order_id: row for venue in self._referee.venues.values() for row in venue.ledger.orders.values()}
        row = rows[order.broker_order_ids[-1]]
        if Decimal(order.filled_quantity or 0) != row.filled_quantity:
            return True
        average = Decimal(order.average_fill_price or 0) - (row.average_price or Decimal(0))
        return bool(abs(average) > PRINTED)

    async def _miss_fills(self) -> None:
        """Fills while the stream is away are booked within seconds of its coming back."""
        day, world = self._day, self._world
        names = [f"missed-{day.seed}-{number}" for number in range(3)]
        for name in names:
            await world.submit(client_order_id=name, symbol="AMD", quantity="5", limit_price="100", wait=Wait.BROKER)
        await asyncio.sleep(1)
        working = [name for name in names if self._is_working(name)]
        account = world.alive.workers.account
        fault = day.venue.faults.arm(Fault(kind=FaultKind.REFUSE_UPGRADE, times=0))
        for session in list(world.face.sessions.values()):
            session.kick(1011)
        await asyncio.sleep(1)
        for name in working:
            day.venue.fill(name, day.random.choice((None, None, day.venue.find(name).leaves - 2)))
        world.pump()
        await asyncio.sleep(1)
        day.venue.faults.clear(fault.fault_id)
        await self._wait(lambda: [] if account.stream_connected else ["no stream"], AGREE_S, "without a fault")
        await self._wait(self._complaints, BOOKED_S, "after the reconnect")
        day.situations["missed fills booked after a reconnect"] += bool(working)

    def _is_working(self, name: str) -> bool:
        order_id = self._referee.by_key.get((ACCOUNT, name), "")
        return state_of(self._referee.told[order_id].order) == "ACCEPTED"

    async def _cancel_all(self) -> None:
        for order in list(self._referee.orders()):
            if state_of(order) in OPEN:
                await self._day.bear(lambda order_id=order.order_id: self._world.cancel(order_id))

    # -------------------------------------------------------------------------------------------------------- excuses

    def _lied_about(self) -> set[str]:
        """Orders that come back, and an operator is told: the venue took them and answered 429, "not taken"; or it
        rejected what was left of an order, and that was heard before its fills.
        """
        fired = self._day.venue.faults.fired
        names = {name for each in fired if each.fault_id in self._day.lies for name in each.orders}
        lied = {order.order_id for order in self._referee.orders() if order.client_order_id in names}
        rows = [row for venue in self._referee.venues.values() for row in venue.ledger.orders.values()]
        given_up = [row.order_id for row in rows if row.status is Status.REJECTED and row.filled_quantity]
        lied |= {order.order_id for order in self._referee.orders() if order.parent_order_id in lied}
        return lied | {self._referee.by_broker_id.get(name, "") for name in given_up}

    def _overfilled(self) -> set[str]:
        """Orders of which the venue traded more than was asked for."""
        return {order.order_id for order in self._referee.orders() if order.overfilled}

    def excused(self) -> dict[str, bool]:
        """Orders with an execution that was taken back without our hearing of it; whether on an elder broker id.

        Such a bust is in no list: it cannot be booked. On the current broker order it shows in its figures and opens
        a record; on an elder of a chain it may leave no trace at all.
        """
        self._referee.settle_hearing(is_dead=False)
        found: dict[str, bool] = {}
        for venue in self._referee.venues.values():
            for execution in venue.ledger.executions.values():
                order_id = self._referee.by_broker_id.get(execution.order_id)
                if execution.state is ExecutionState.LIVE or order_id is None:
                    continue
                if execution.execution_id not in self._referee.heard_restatements and not self._is_marked(
                    order_id, execution.execution_id
                ):
                    order = self._referee.told[order_id].order
                    found[order_id] = found.get(order_id, True) and execution.order_id != order.broker_order_ids[-1]
        return found

    def _restated(self) -> set[str]:
        """Orders with an execution that was corrected: a list may tell of it before the stream says so."""
        ledgers = [venue.ledger for venue in self._referee.venues.values()]
        corrected = [e for ledger in ledgers for e in ledger.executions.values() if e.state is ExecutionState.CORRECTED]
        return {self._referee.by_broker_id.get(execution.order_id, "") for execution in corrected}

    def _is_marked(self, order_id: str, execution_id: str) -> bool:
        """Whether it is booked as taken back. One that was moved to another place is in the trail twice, and counts."""
        known = [fill for fill in self._referee.fills(order_id) if fill.execution_id == execution_id]
        return bool(known) and all(fill.status not in COUNTED for fill in known)
