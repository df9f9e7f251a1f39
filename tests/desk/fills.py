"""Orders that trade, written straight into a journal: the shortest way to what a fold follows."""

import random
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec

from orderd.core.events import FillBusted, FillCorrected
from orderd.core.order import EventSource, Fill, FillStatus, Order, OrderState, Side
from orderd.core.values import BrokerOrderId, ExecutionId, FillId
from orderd.ports import Append, Entry, FillFilter, Journal, Page, Record, RecordChange, RecordFilter, RecordPage
from tests.storage.making import START, accepted, acknowledged, canceled, filled, new, order, submitted, then

STREAM = EventSource.BROKER_STREAM


class Tape:
    """Orders of one journal, and what happens to them, a second apart."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.orders: dict[str, Order] = {}
        self.second = 0

    async def trade(self, name: str, side: Side, quantity: str, price: str, **changes: Any) -> None:  # noqa: ANN401
        """The next fill of the order with this name; its first one makes the order, with these fields."""
        fee = changes.pop("fee", None)
        before = self.orders.get(name)
        if before is None:
            first = order(side=side, **changes)
            asked = new(first, submitted(), acknowledged(f"b-{first.order_id}"), accepted())
            before = await self._append(name, asked)
        self.second += 1
        booked = Fill(
            fill_id=FillId(f"{before.order_id}-f{len(before.fills) + 1}"),
            broker_order_id=BrokerOrderId(f"b-{before.order_id}"),
            cum_after=before.filled_quantity + Decimal(quantity),
            quantity=Decimal(quantity),
            price=Decimal(price),
            status=FillStatus.LIVE,
            source=STREAM,
            occurred_time=START + timedelta(seconds=self.second),
            recorded_time=START + timedelta(seconds=self.second),
            aliases=(ExecutionId(f"x-{self.second}"),),
            fee=None if fee is None else Decimal(fee),
        )
        await self._append(name, then(before, filled(booked)))

    async def bust(self, name: str, number: int) -> None:
        """The broker takes the order's fill with this number back."""
        before = self.orders[name]
        event = FillBusted(
            at=START, source=STREAM, removed=(before.fills[number - 1].fill_id,), to_state=OrderState.PARTIALLY_FILLED
        )
        await self._append(name, then(before, event))

    async def correct(self, name: str, number: int, **changes: Any) -> None:  # noqa: ANN401
        """The broker tells the order's fill with this number otherwise."""
        before = self.orders[name]
        old = before.fills[number - 1]
        fill_id = FillId(f"{before.order_id}-f{len(before.fills) + 1}")
        told = msgspec.structs.replace(old, fill_id=fill_id, is_restated=True, **changes)
        event = FillCorrected(
            at=START, source=STREAM, removed=(old.fill_id,), added=(told,), to_state=OrderState.PARTIALLY_FILLED
        )
        await self._append(name, then(before, event))

    async def end(self, name: str) -> None:
        """The order is over."""
        await self._append(name, then(self.orders[name], canceled()))

    async def _append(self, name: str, append: Append) -> Order:
        (recorded,) = await self.journal.append([append])
        self.orders[name] = recorded.order
        return recorded.order


async def random_day(tape: Tape, seed: int, moves: int) -> None:
    """Orders of three strategies in two symbols and of somebody else, with busts and corrections among them."""
    rng = random.Random(seed)
    for number in range(moves):
        name = f"{rng.choice(['', 'a', 'b', 'else'])}|{rng.choice(['AAPL', 'MSFT'])}|{number // 4}|{rng.randrange(3)}"
        strategy, symbol, _, kind = name.split("|")
        live = [n for n, f in enumerate(tape.orders[name].fills, 1) if f.is_counted] if name in tape.orders else []
        chance = rng.random()
        if live and chance < 0.15:
            await tape.bust(name, rng.choice(live))
        elif live and chance < 0.3:
            await tape.correct(name, rng.choice(live), price=Decimal(rng.randrange(900, 1100)) / 100)
        else:
            is_external = strategy == "else"
            await tape.trade(
                name,
                Side.BUY if kind == "0" else Side.SELL,
                str(rng.randrange(1, 9)),
                f"{rng.randrange(900, 1100) / 100:.2f}",
                fee=rng.choice([None, "0.05", "0.10"]),
                symbol=symbol,
                strategy="" if is_external else strategy,
                is_external=is_external,
            )


class MemoryRecords:
    """Records that nobody keeps: what a fold of everything anew would write."""

    def __init__(self) -> None:
        self.marks: dict[str, str] = {}
        self.changes: list[RecordChange] = []
        self.latest: dict[str, Record] = {}

    async def mark(self, name: str) -> str | None:
        return self.marks.get(name)

    async def record(self, changes: Sequence[RecordChange], marks: Sequence[tuple[str, str]] = ()) -> tuple[int, ...]:
        for change in changes:
            known = self.latest.get(change.record.record_id)
            assert change.record.version == (known.version if known else 0) + 1
            self.latest[change.record.record_id] = change.record
        self.changes += changes
        self.marks |= dict(marks)
        return (0,) * len(changes)

    def load_record(self, record_id: str) -> Record | None:
        return self.latest.get(record_id)

    async def read_records(
        self, where: RecordFilter, *, after_key: tuple[int | str, ...] | None, limit: int
    ) -> RecordPage:
        found = tuple(
            each
            for each in self.latest.values()
            if each.account_id in where.account_ids
            and each.symbol in where.symbols
            and (not where.strategies or each.strategy in where.strategies)
        )
        return RecordPage(records=found, keys=((),) * len(found), has_more=False, sequence=0)

    def order_data(self, order_id: str) -> bytes | None:
        raise NotImplementedError

    async def list_fills(self, where: FillFilter, *, after_key: tuple[int | str, ...] | None, limit: int) -> Page:
        raise NotImplementedError


class Tail:
    """The events of a journal, as a feed that has no bell."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal

    @property
    def head(self) -> int:
        return self.journal.head

    @property
    def oldest(self) -> int:
        return self.journal.floor

    async def read(self, after: int, limit: int) -> Sequence[Entry]:
        return await self.journal.events_after(after, limit=limit)

    async def changed(self, after: int, timeout_s: float) -> bool:
        return self.journal.head > after
