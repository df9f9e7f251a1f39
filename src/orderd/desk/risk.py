"""Risk as it is asked for: how an account stands, its trading state, its breaker, a size, the kill switch."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import msgspec

from orderd.core.sizing import Sizing
from orderd.core.trade import Signal
from orderd.core.values import ZERO, Value, canonical, divide, multiply
from orderd.desk.flatten import Flattening, Proof
from orderd.desk.tradebook import TradeBook
from orderd.desk.trades import TradeDesk
from orderd.engine import api
from orderd.engine.workers import Workers
from orderd.risk.breaker import Breaker
from orderd.risk.limits import Limits, TradingState
from orderd.risk.state import RiskState

PERCENT = Decimal(100)
HUNDREDTH = Decimal("0.01")


class Standing(Value, frozen=True, kw_only=True):
    """How an account stands. `day_end`: when the breaker's day is over, None without a breaker."""

    account_id: str
    state: RiskState
    limits: Limits
    used: tuple[tuple[str, str], ...]
    day_end: datetime | None
    open_positions: int
    open_orders: int
    unprotected_quantity: Decimal
    blocked_symbols: tuple[str, ...]
    sequence: int


class RiskDesk:
    """What RiskService asks."""

    def __init__(self, engine: api.Engine, workers: Mapping[str, Workers], book: TradeBook, trades: TradeDesk) -> None:
        """`workers` of each account."""
        self._engine = engine
        self._workers = workers
        self._book = book
        self._trades = trades
        self._locks: dict[str, asyncio.Lock] = {}

    async def status(self, account_id: str) -> Standing:
        """How the account stands now."""
        workers = self._workers[account_id]
        account, limits = workers.account, workers.account.policy.limits
        await workers.holdings.freshen()
        state, day_end = account.risk.state, None
        used = workers.exposures.used()
        if limits.has_breaker:
            day = account.risk.day()
            used |= _used_of(day)
            day_end = account.risk.calendar.next_open(account.risk.today())
            state = msgspec.structs.replace(state, breaker=day)
        record = self._engine.journal.load_record(account.risk.record_id)
        return Standing(
            account_id=account_id,
            state=state,
            limits=limits,
            used=tuple(used.items()),
            day_end=day_end,
            open_positions=len(workers.exposures.open_symbols() or ()),
            open_orders=account.open_count(),
            unprotected_quantity=self._book.unprotected(account_id),
            blocked_symbols=tuple(sorted(account.blocked_symbols)),
            sequence=0 if record is None else record.sequence,
        )

    async def set_trading_state(
        self, account_id: str, state: TradingState, *, reason: str, operator_name: str, freeze_protection: bool
    ) -> Standing:
        """An operator's word. What may not leave any more, and waits in line, is given up at once."""
        workers = self._workers[account_id]
        await workers.account.risk.set_trading_state(
            state, reason=reason, operator_name=operator_name, freeze_protection=freeze_protection
        )
        await workers.sender.give_up_unsendable()
        self._trades.wake(account_id)
        return await self.status(account_id)

    async def reset_breaker(self, account_id: str, *, reason: str, operator_name: str) -> Standing:
        """An operator lets entries go on before the day is over."""
        await self._workers[account_id].account.risk.reset_breaker(reason, operator_name)
        return await self.status(account_id)

    async def size(self, account_id: str, signal: Signal, *, equity: Decimal | None) -> Sizing:
        """The quantity for an entry and its stop."""
        return await self._trades.size(account_id, signal, equity=equity)

    async def flatten(
        self, account_id: str, *, reason: str, operator_name: str, close_positions: bool, timeout_s: float
    ) -> Proof:
        """The kill switch. Answers with what is proven when it is done, or when the time is up; the work goes on."""
        account = self._workers[account_id].account
        flattening = Flattening(account, self._engine, self._book, self._trades)
        lock = self._locks.setdefault(account_id, asyncio.Lock())

        async def work() -> None:
            async with lock:  # two at once would each close what they see
                await flattening.run(reason=reason, operator_name=operator_name, close_positions=close_positions)

        task = account.tasks.run(work(), f"flatten:{account_id}")
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.shield(task)
        except TimeoutError:
            pass
        return flattening.proof()


def _used_of(day: Breaker) -> dict[str, str]:
    """What has been lost of what may be."""
    used = {"max_losses_in_a_row": str(day.losses_in_a_row)}
    if day.base:
        share = divide(multiply(max(day.counted_loss, ZERO), PERCENT), day.base)
        used["max_daily_loss_percent"] = canonical(share.quantize(HUNDREDTH))
    return used
