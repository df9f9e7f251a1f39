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
from orderd.venue.orders import Change, NewOrder, OrderType, Side, Status
from orderd.venue.orders import TimeInForce as VenueTimeInForce
from tests.e2e.books import state_of
from tests.e2e.raw import journal_bytes
from tests.engine.world import World

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

    def __post_init__(self) -> None:
        """The script has a stream of its own: what the world draws does not change it."""
        self.random = random.Random(f"day {self.seed}")

    async def run(self) -> None:
        """The day, and the judgement."""
        await self.world.start()
        self._arm()
        steps = [self._submit] * self.orders + [self._kill] * self.kills
        steps += [self._cancel] * (self.orders // 3) + [self._replace] * (self.orders // 4)
        steps += [self._repeat] * (self.orders // 8) + [self._person] * (self.orders // 8)
        steps += [self._market] * (self.orders // 4) + [self._kick, self._reconcile, self._reconcile]
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
            faults.arm(Fault(**{**shape, "method": method, "path": "/v2/orders", "probability": chance, "times": 0}))
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
            if order.leaves > 1:
                venue.fill(order.order_id, Decimal(1))
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
        left = [f"{order.order_id} {state_of(order)}" for order in world.orders() if not order.HasField("closed_time")]
        assert not left, left
        await world.restart()
        await asyncio.sleep(1)
        await self._judge()
        await world.kill()

    async def _judge(self) -> None:
        world = self.world
        assert not (differing := world.disagreements()), "\n".join(differing)
        assert not (doubles := world.books().doubles()), doubles
        open_records = [(d.kind, d.subject, d.expected, d.observed) for d in await world.discrepancies()]
        assert not open_records, open_records
        orders = {order.order_id: order for order in world.orders()}
        assert set(self.ids.values()) <= set(orders), "an answered order is never lost"
        unsettled = [
            f"{order.order_id} {state_of(order)}"
            for order in orders.values()
            if state_of(order) == "UNKNOWN" or order.pending_cancel or order.pending_replace
        ]
        assert not unsettled, unsettled
        self._told(orders)

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
    if kind < 0.9:
        return fields | {"type": opb.ORDER_TYPE_STOP, "stop_price": stop}
    profit, loss = {"KO": ("95", "70"), "F": ("14", "8"), "AMD": ("180", "130")}[symbol]
    return fields | {
        "order_class": opb.ORDER_CLASS_BRACKET,
        "take_profit": opb.TakeProfit(limit_price=profit),
        "stop_loss": opb.StopLoss(stop_price=loss),
    }


def live(seed: int, directory: Path, *, orders: int = 40, kills: int = 3) -> str:
    """Live one day; the hash of the journal it leaves. Raises AssertionError, whatever else went wrong too."""

    async def main() -> None:
        options = {"partial_rate": Decimal("0.3")}
        policy = {"parallel_submits": 3}
        world = World(directory, seed, venue_options=options, policy=policy)
        await Day(seed=seed, world=world, orders=orders, kills=kills).run()

    run_virtual(main)
    return digest(directory / "orderd.db")


def digest(database: Path) -> str:
    """The hash of every event's bytes."""
    total = hashlib.sha256()
    for body in journal_bytes(database):
        total.update(body)
    return total.hexdigest()


__all__ = ["Day", "JournalError", "digest", "live"]
