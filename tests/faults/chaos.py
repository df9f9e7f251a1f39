"""A seeded day of trading in which everything goes wrong at once, and what must hold when it is over.

A seed decides all of it: what is traded, which faults, when the process dies. The venue is the referee.
"""

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from oms.v1 import order_pb2 as opb
from orderd.core.order import TimeInForce
from orderd.engine.api import ReplaceAsk
from orderd.engine.errors import EngineError, Kind
from orderd.ports import JournalError
from orderd.system import run_virtual
from orderd.venue.faults import Fault, FaultKind
from orderd.venue.orders import Change, ExecutionState, NewOrder, OrderType, Side, Status
from orderd.venue.orders import OrderClass as VenueClass
from orderd.venue.orders import TimeInForce as VenueTimeInForce
from tests.e2e.books import COUNTED, state_of
from tests.e2e.raw import journal_bytes
from tests.engine.world import World
from tests.storage.integrity import sound

SYMBOLS = ("KO", "F", "AMD")
REST_S = 60
"""Virtual seconds after the last fault until everything must have come to its end (promise P8 gives 30)."""
EXPECTED = frozenset({Kind.UNAVAILABLE, Kind.FAILED_PRECONDITION, Kind.EXHAUSTED, Kind.ABORTED, Kind.NOT_FOUND})

REQUEST_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": FaultKind.LOSE_ANSWER},
    {"kind": FaultKind.LOSE_REQUEST},
    {"kind": FaultKind.HOLD_ANSWER, "delay_ms": 300},
    {"kind": FaultKind.HOLD_ANSWER, "delay_ms": 2500},
    {"kind": FaultKind.LAND_LATE, "status": 0, "delay_ms": 400},
    {"kind": FaultKind.LAND_LATE, "status": 503, "delay_ms": 700},
    {"kind": FaultKind.ANSWER_STATUS, "status": 500},
    {"kind": FaultKind.ANSWER_STATUS, "status": 503, "is_accepted": False},
    {"kind": FaultKind.ANSWER_STATUS, "status": 429, "is_accepted": False},
    {"kind": FaultKind.ANSWER_STATUS, "status": 429},
    {"kind": FaultKind.ANSWER_STATUS, "status": 502, "body": "html"},
    {"kind": FaultKind.CUT_ANSWER, "at_byte": 200},
    {"kind": FaultKind.UNKNOWN_STATUS},
    {"kind": FaultKind.PARTIAL_THEN_CANCEL},
    {"kind": FaultKind.FILL_CROSSES_CANCEL},
    {"kind": FaultKind.FILL_CROSSES_REPLACE},
    {"kind": FaultKind.REJECT},
)
FRAME_FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": FaultKind.DROP_FRAME},
    {"kind": FaultKind.DUPLICATE_FRAME},
    {"kind": FaultKind.DELAY_FRAME, "delay_ms": 50},
    {"kind": FaultKind.DELAY_FRAME, "delay_ms": 3000},
    {"kind": FaultKind.REORDER_FRAME},
    {"kind": FaultKind.UNREADABLE_FRAME},
    {"kind": FaultKind.UNKNOWN_EVENT},
    {"kind": FaultKind.UNKNOWN_FRAME_STATUS},
    {"kind": FaultKind.DISCONNECT, "is_accepted": False},
    {"kind": FaultKind.DISCONNECT, "code": 0},
    {"kind": FaultKind.REFUSE_LOGIN},
    {"kind": FaultKind.REFUSE_UPGRADE},
)
UNHEARD_BUSTS = frozenset(
    {"QUANTITY_DIFFERS", "AVERAGE_DIFFERS", "EXECUTION_CHANGED", "FILLED_SHORT", "EXECUTIONS_MISSING"}
)
TOO_MANY = 429
METHODS = ("", "POST", "GET", "DELETE", "PATCH")


@dataclass
class Day:
    """One seed."""

    seed: int
    world: World
    orders: int
    kills: int
    ids: dict[str, str] = field(default_factory=dict)
    """Order ids by key, as they were answered."""
    fresh: dict[str, int] = field(default_factory=dict)
    """How often a key was answered as new."""
    lies: list[Fault] = field(default_factory=list)
    """Faults that say "not taken" about what was taken."""

    def __post_init__(self) -> None:
        """The script has a stream of its own: what the world draws does not change it."""
        self.random = random.Random(f"day {self.seed}")

    @property
    def restates(self) -> bool:
        """Whether the venue takes executions back on this day."""
        return self.seed % 4 == 3

    async def run(self) -> None:
        """The day, and the judgement."""
        await self.world.start()
        self._arm()
        steps = [self._submit] * self.orders + [self._kill] * self.kills
        steps += [self._cancel] * (self.orders // 3) + [self._replace] * (self.orders // 4)
        steps += [self._repeat] * (self.orders // 8) + [self._person] * (self.orders // 8)
        steps += [self._market] * (self.orders // 4) + [self._kick, self._reconcile, self._reconcile]
        if self.restates:
            steps += [self._restate] * (self.orders // 10)
        self.random.shuffle(steps)
        for step in steps:
            await self._bear(step)
            await asyncio.sleep(self.random.choice((0, 0, 0.001, 0.003, 0.01, 0.1, 0.5)))
        await self._rest()

    def _arm(self) -> None:
        faults = self.world.face.venue.faults
        for shape in self.random.sample(REQUEST_FAULTS, 5):
            method = self.random.choice(METHODS)
            chance = self.random.choice((0.02, 0.1, 0.3))
            script = {**shape, "method": method, "path": "/v2/orders", "probability": chance, "times": 0}
            armed = faults.arm(Fault(**script))
            if armed.kind is FaultKind.ANSWER_STATUS and armed.status == TOO_MANY and armed.is_accepted:
                self.lies.append(armed)
        for shape in self.random.sample(FRAME_FAULTS, 4):
            faults.arm(Fault(**{**shape, "probability": self.random.choice((0.02, 0.1, 0.3)), "times": 0}))

    async def _bear(self, step: Callable[[], Awaitable[None]]) -> None:
        """A call may be refused, and a caller does not wait for ever."""
        try:
            async with asyncio.timeout(5):
                await step()
        except EngineError as error:
            assert error.kind in EXPECTED, error.message
        except TimeoutError:
            return

    # ---------------------------------------------------------------------------------------------------------- steps

    async def _submit(self) -> None:
        number = len(self.ids) + self.random.randrange(1_000_000) * 1000
        await self._say(f"k-{number}")

    async def _repeat(self) -> None:
        if self.ids:
            await self._say(self.random.choice(sorted(self.ids)))

    async def _say(self, key: str) -> None:
        """What a key asks for is a function of the key: a repeat says the same."""
        order_id, is_replay = await self.world.submit(client_order_id=key, **asked(key))
        assert self.ids.setdefault(key, order_id) == order_id, "a key names one order"
        self.fresh[key] = self.fresh.get(key, 0) + (not is_replay)
        assert self.fresh[key] <= 1, "a key is new once"

    async def _cancel(self) -> None:
        if self.ids:
            await self.world.cancel(self.ids[self.random.choice(sorted(self.ids))])

    async def _replace(self) -> None:
        if self.ids:
            number = self.random.randrange(1_000_000)
            ask = ReplaceAsk(request_id=f"r-{number}", quantity=Decimal(self.random.randint(2, 12)))
            if self.random.random() < 0.3:
                ask = ReplaceAsk(request_id=f"r-{number}", time_in_force=TimeInForce.GTC)
            await self.world.replace(self.ids[self.random.choice(sorted(self.ids))], ask)

    async def _person(self) -> None:
        """Somebody at the broker's own screen."""
        venue = self.world.face.venue
        account = next(iter(venue.state.accounts.values()))
        open_orders = sorted(
            (o for o in venue.state.book.open_of_account(account.account_id)), key=lambda order: order.sequence
        )
        choice = self.random.randrange(4)
        if choice == 0 or not open_orders:
            side, kind = Side.BUY, OrderType.LIMIT
            venue.submit(
                account,
                NewOrder(
                    symbol="F",
                    side=side,
                    type=kind,
                    time_in_force=VenueTimeInForce.DAY,
                    quantity=Decimal(3),
                    limit_price=Decimal(self.random.choice((5, 20))),
                    client_order_id=f"hand-{self.random.randrange(10**9)}",
                ),
            )
        elif choice == 1:
            venue.end(self.random.choice(open_orders).order_id, Status.CANCELED)
        elif choice == 2:
            venue.replace_by_person(
                self.random.choice(open_orders).order_id, Change(quantity=Decimal(self.random.randint(2, 12)))
            )
        else:
            order = self.random.choice(open_orders)
            if order.leaves > 1 and order.order_class is not VenueClass.MLEG:
                venue.fill(order.order_id, Decimal(1))
        self.world.pump()

    async def _restate(self) -> None:
        """The venue takes an execution back, or corrects it."""
        venue = self.world.face.venue
        live_ones = [e for e in venue.ledger.executions.values() if e.state is ExecutionState.LIVE]
        simple = [e for e in live_ones if venue.find(e.order_id).order_class is VenueClass.SIMPLE]
        if not simple:
            return
        execution = self.random.choice(simple)
        if self.random.random() < 0.5:
            venue.bust(execution.execution_id)
        else:
            venue.correct(execution.execution_id, execution.quantity, execution.price + Decimal("0.5"))
        self.world.pump()

    async def _market(self) -> None:
        symbol = self.random.choice(SYMBOLS)
        middle = {"KO": 86, "F": 11, "AMD": 160}[symbol] * Decimal(self.random.choice(("0.97", "1", "1.03")))
        price = middle.quantize(Decimal("0.01"))
        self.world.face.venue.set_quote(symbol, price, price + Decimal("0.01"))
        self.world.pump()

    async def _kick(self) -> None:
        for session in list(self.world.face.sessions.values()):
            session.kick(1011)

    async def _reconcile(self) -> None:
        await self.world.reconcile()

    async def _kill(self) -> None:
        await self.world.kill()
        await asyncio.sleep(self.random.choice((0, 0.01, 1)))
        await self.world.start(is_ready=self.random.random() < 0.5)

    # ------------------------------------------------------------------------------------------------------ judgement

    async def _rest(self) -> None:
        """The faults stop; the account's open orders are cancelled after a while; nothing may be left over."""
        world = self.world
        world.face.venue.faults.clear()
        for gate in list(world.face.venue.faults.barriers.waiting()):
            world.face.venue.faults.barriers.release(gate)
        world.pump()
        await asyncio.sleep(REST_S)
        assert await world.reconcile()
        await self._judge()
        for order in world.orders():
            if state_of(order) in {"ACCEPTED", "PARTIALLY_FILLED", "SUBMITTED"}:
                await self._bear(lambda order_id=order.order_id: world.cancel(order_id))
        await asyncio.sleep(REST_S)
        assert await world.reconcile()
        await self._judge()
        unheard = self._unheard() if self.restates else {}
        left = [
            f"{order.order_id} {state_of(order)}"
            for order in world.orders()
            if not order.HasField("closed_time") and order.order_id not in unheard
        ]
        assert not left, left
        await world.restart()
        await asyncio.sleep(1)
        await self._judge()
        await world.kill()

    async def _judge(self) -> None:
        world = self.world
        differing = world.disagreements()
        records = [(d.kind, d.subject, d.expected, d.observed) for d in await world.discrepancies()]
        if self.restates:
            # A bust nobody heard of is in no list: it cannot be booked, but it is not overlooked. Only on the elder of
            # a chain it leaves no trace at all.
            unheard = self._unheard()
            told = {order_id for order_id, is_elder in unheard.items() if is_elder}
            told |= {subject for kind, subject, *_ in records if kind in UNHEARD_BUSTS and subject in unheard}
            differing = {order_id: texts for order_id, texts in differing.items() if order_id not in told}
            records = [record for record in records if record[1] not in told]
        records = [record for record in records if record[:2] not in self._lied_about()]
        assert not differing, "\n".join(text for texts in differing.values() for text in texts)
        assert not records, records
        assert not (doubles := world.books().doubles()), doubles
        orders = {order.order_id: order for order in world.orders()}
        assert set(self.ids.values()) <= set(orders), "an answered order is never lost"
        unsettled = [
            f"{order.order_id} {state_of(order)}"
            for order in orders.values()
            if state_of(order) == "UNKNOWN" or order.pending_cancel or order.pending_replace
        ]
        assert not unsettled, unsettled
        self._told(orders)

    def _lied_about(self) -> set[tuple[str, str]]:
        """Records that must be there: the venue took an order and answered 429, which says that it did not."""
        faults = self.world.face.venue.faults.fired
        lies = {fault.fault_id for fault in self.lies}
        names = {name for fired in faults if fired.fault_id in lies for name in fired.orders}
        return {("REVIVED", order.order_id) for order in self.world.orders() if order.client_order_id in names}

    def _unheard(self) -> dict[str, bool]:
        """Orders with an execution that the venue took back without our hearing of it; whether on an elder id."""
        executions = self.world.face.venue.ledger.executions.values()
        restated = {e.execution_id: e.order_id for e in executions if e.state is not ExecutionState.LIVE}
        found: dict[str, bool] = {}
        for order in self.world.orders():
            marked = {fill.execution_id for fill in self.world.fills(order.order_id) if fill.status not in COUNTED}
            ours = {
                broker_order_id
                for name, broker_order_id in restated.items()
                if broker_order_id in order.broker_order_ids and name not in marked
            }
            if ours:
                found[order.order_id] = ours != set(order.broker_order_ids[-1:])
        return found

    def _told(self, orders: dict[str, opb.Order]) -> None:
        """The events tell each order's story without a gap, and end where the order stands."""
        last: dict[str, opb.OrderEvent] = {}
        for event in self.world.events():
            before = last.get(event.order_id)
            assert event.version == (before.version + 1 if before else 1)
            assert event.from_status == (before.to_status if before else opb.ORDER_STATUS_UNSPECIFIED)
            last[event.order_id] = event
        for order_id, event in last.items():
            order = orders[order_id]
            assert (event.order.status, event.order.filled_quantity, event.version) == (
                order.status,
                order.filled_quantity,
                order.version,
            )


def asked(key: str) -> dict[str, Any]:
    """The order that goes with a key."""
    chance = random.Random(f"order {key}")
    symbol = chance.choice(SYMBOLS)
    fields: dict[str, Any] = {"symbol": symbol, "quantity": str(chance.randint(1, 9)), "trace_id": f"t-{key}"}
    kind = chance.random()
    if kind < 0.35:
        return fields
    if kind < 0.8:
        low, high = {"KO": ("80", "90"), "F": ("9", "12"), "AMD": ("150", "170")}[symbol]
        return fields | {"limit_price": chance.choice((low, low, high))}
    stop = {"KO": "90", "F": "12", "AMD": "170"}[symbol]
    if kind < 0.86:
        return fields | {"type": opb.ORDER_TYPE_STOP, "stop_price": stop}
    if kind < 0.93:
        return strategy(fields, chance)
    profit, loss = {"KO": ("95", "70"), "F": ("14", "8"), "AMD": ("180", "130")}[symbol]
    return fields | {
        "order_class": opb.ORDER_CLASS_BRACKET,
        "take_profit": opb.TakeProfit(limit_price=profit),
        "stop_loss": opb.StopLoss(stop_price=loss),
    }


def strategy(fields: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """A call spread on AMD."""
    symbols = ("AMD261218C00160000", "AMD261218C00170000")
    legs = [opb.Leg(symbol=symbol, ratio=1, side=side) for symbol, side in zip(symbols, (1, 2), strict=True)]
    return {
        "quantity": fields["quantity"],
        "trace_id": fields["trace_id"],
        "order_class": opb.ORDER_CLASS_MULTILEG,
        "limit_price": chance.choice(("1", "9")),
        "legs": legs,
    }


def live(seed: int, directory: Path, *, orders: int = 40, kills: int = 3) -> str:
    """Live one day; the hash of the journal it leaves. Raises AssertionError, whatever else went wrong too."""

    async def main() -> None:
        options = {"partial_rate": Decimal("0.3")}
        policy = {"parallel_submits": 3}
        world = World(directory, seed, venue_options=options, policy=policy)
        await Day(seed=seed, world=world, orders=orders, kills=kills).run()

    run_virtual(main)
    sound(directory / "orderd.db")
    return digest(directory / "orderd.db")


def digest(database: Path) -> str:
    """The hash of every event's bytes."""
    total = hashlib.sha256()
    for body in journal_bytes(database):
        total.update(body)
    return total.hexdigest()


__all__ = ["Day", "JournalError", "digest", "live"]
