"""What the broker says of instruments: read once by symbol, kept for some hours, and never guessed.

Rule 1: what could not be read is not known, and what is not known is not judged here: the broker's own answer decides.
Rule 2: only the first order in a symbol waits for the reading, and not for long; later ones find it renewed.
Rule 3: readings take at most a tenth of the broker's requests, and exits do not wait for any.
"""

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

import msgspec
import structlog

from orderd.core.assets import Asset
from orderd.core.instruments import asset_class_of_symbol
from orderd.core.order import AssetClass, Order, OrderState
from orderd.core.values import Value
from orderd.ports import AssetOutcome, CannotTell, NoAsset

if TYPE_CHECKING:
    from orderd.engine.account import Account

log = structlog.get_logger("orderd.assets")

NANOS: Final = 1_000_000_000
KEPT_S: Final = 4 * 3600
"""How long the broker's word is good."""
RENEWED_S: Final = 3600
"""When it is asked for again beside the next order, which does not wait for it."""
NOT_LISTED_S: Final = 60
"""How long a name that the broker does not know is not asked for again: it may be listed any moment."""
AGAIN_S: Final = 30
"""How long a reading that failed is not tried again: orders go on without it."""
WAIT_S: Final = 2.0
"""How long the first order in a symbol waits."""
MOST_KEPT: Final = 10_000
_MINUTE_NS: Final = 60 * NANOS
_SHARE: Final = 10
_LEAST_READS: Final = 5


class _Word(Value, frozen=True, kw_only=True):
    """What was said; None when nothing could be read, or there is no such instrument. Until when it is good, and from
    when on it is asked for again (monotonic ns).
    """

    asset: Asset | None
    good_until_ns: int
    due_ns: int


class Assets:
    """One account's instruments."""

    def __init__(self, account: "Account") -> None:
        """Nothing is known before the first order."""
        self._account = account
        self._words: dict[str, _Word] = {}
        self._readings: dict[str, asyncio.Task[None]] = {}
        self._read_ns: deque[int] = deque()
        """When the readings of the last minute began."""

    def get(self, symbol: str) -> Asset | None:
        """What is known of an instrument now. None: nothing, or nothing that is still good."""
        word = self._words.get(symbol)
        return word.asset if word is not None and self._now_ns < word.good_until_ns else None

    def is_due(self, symbol: str) -> bool:
        """Whether `look` has something to do."""
        word = self._words.get(symbol)
        return _is_asked_for(symbol) if word is None else self._now_ns >= word.due_ns

    async def look(self, symbol: str) -> Asset | None:
        """What is known of an instrument, read now when nothing is; waits at most 2 s. None when it cannot be told."""
        if self.is_due(symbol):
            reading = self._begin(symbol)
            if reading is not None and self.get(symbol) is None:
                try:
                    async with asyncio.timeout(WAIT_S):
                        await asyncio.shield(reading)
                except TimeoutError:
                    log.warning("asset_unreadable", account_id=self._account.account_id, symbol=symbol, reason="late")
        return self.get(symbol)

    def ask(self, symbol: str) -> None:
        """Have it read beside everything else, when that is due."""
        if self.is_due(symbol):
            _ = self._begin(symbol)

    def watch(self, order: Order) -> None:
        """The broker has refused an order: what it said of the instrument may not be so any more."""
        if order.state is OrderState.REJECTED:
            self._words.pop(order.intent.symbol, None)

    @property
    def _now_ns(self) -> int:
        return self._account.clock.monotonic_ns()

    def _begin(self, symbol: str) -> "asyncio.Task[None] | None":
        """The reading of a symbol, whoever wants it; None when too many were begun within a minute."""
        known = self._readings.get(symbol)
        if known is not None:
            return known
        account, now_ns = self._account, self._now_ns
        while self._read_ns and now_ns - self._read_ns[0] >= _MINUTE_NS:
            self._read_ns.popleft()
        can = account.broker.capabilities(asset_class_of_symbol(symbol))
        if account.is_stopping or len(self._read_ns) >= max(can.requests_per_minute // _SHARE, _LEAST_READS):
            return None
        self._read_ns.append(now_ns)
        reading = self._readings[symbol] = account.tasks.run(self._read(symbol, now_ns), f"asset:{symbol}")
        return reading

    async def _read(self, symbol: str, asked_ns: int) -> None:
        account = self._account
        try:
            said = await account.broker.asset(symbol, timeout_s=account.policy.submit_timeout_s)
        finally:
            del self._readings[symbol]
        self._keep(symbol, said, asked_ns)

    def _keep(self, symbol: str, said: AssetOutcome, asked_ns: int) -> None:
        self._words[symbol] = self._taken(symbol, said, asked_ns, self._words.pop(symbol, None))
        if len(self._words) > MOST_KEPT:
            del self._words[next(iter(self._words))]

    def _taken(self, symbol: str, said: AssetOutcome, asked_ns: int, known: _Word | None) -> _Word:
        """What an answer makes of what is known. One that says nothing leaves what is still good."""
        match said:
            case Asset():
                return _word(said, asked_ns, KEPT_S, RENEWED_S)
            case NoAsset():
                return _word(None, asked_ns, NOT_LISTED_S, NOT_LISTED_S)
            case CannotTell(message=message):
                log.warning("asset_unreadable", account_id=self._account.account_id, symbol=symbol, reason=message)
                nothing = _word(None, asked_ns, AGAIN_S, AGAIN_S)
                return nothing if known is None else msgspec.structs.replace(known, due_ns=nothing.due_ns)


def _word(asset: Asset | None, asked_ns: int, kept_s: int, renewed_s: int) -> _Word:
    return _Word(asset=asset, good_until_ns=asked_ns + kept_s * NANOS, due_ns=asked_ns + renewed_s * NANOS)


def _is_asked_for(symbol: str) -> bool:
    """Options are not among the broker's assets; what they are is in their symbol."""
    return bool(symbol) and asset_class_of_symbol(symbol) is not AssetClass.US_OPTION
