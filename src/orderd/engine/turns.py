"""Whose turn it is to be sent: the order of sending is kept per symbol, exits never stand behind entries.

Entries share `parallel` places; two more are kept for exits. A symbol that pauses gives its place back and keeps its
turn, so nothing of that symbol overtakes.
"""

from collections import deque
from collections.abc import Iterator

from orderd.core.order import Order
from orderd.core.values import OrderId, Value

EXIT_PLACES = 2


class Turn(Value, frozen=True, kw_only=True):
    """One order's place in line, and in sending."""

    order_id: OrderId
    symbol: str
    is_exit: bool


def turn_of(order: Order) -> Turn:
    """The order's place in line."""
    return Turn(order_id=order.order_id, symbol=order.intent.symbol, is_exit=order.intent.is_exit)


class Turns:
    """Lines by symbol, and how many of them are being sent."""

    def __init__(self, parallel: int) -> None:
        """`parallel` entries at once."""
        self._parallel = parallel
        self._lines: dict[str, deque[Turn]] = {}
        """By symbol; none is empty."""
        self._ready: tuple[dict[str, None], dict[str, None]] = ({}, {})
        """Symbols with a line that are not busy, the longest waiting first: those whose first is an entry, an exit."""
        self._busy: set[str] = set()
        self._sending = 0
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """Orders in line."""
        return self._waiting

    @property
    def sending(self) -> int:
        """Orders on their way."""
        return self._sending

    def __iter__(self) -> Iterator[OrderId]:
        """The orders in line."""
        return iter([turn.order_id for line in self._lines.values() for turn in line])

    def first(self, symbol: str) -> OrderId | None:
        """The order of the symbol that is next."""
        line = self._lines.get(symbol)
        return line[0].order_id if line else None

    def claim(self, turn: Turn) -> bool:
        """Take the turn now when nothing of its symbol is ahead and a place is free."""
        if turn.symbol in self._busy or turn.symbol in self._lines or not self._has_place(is_exit=turn.is_exit):
            return False
        self._begin(turn.symbol)
        return True

    def join(self, turn: Turn, *, first: bool = False) -> None:
        """Stand in line; `first` for an order that had its turn and has to be sent again."""
        line = self._lines.setdefault(turn.symbol, deque())
        if first:
            line.appendleft(turn)
        else:
            line.append(turn)
        self._waiting += 1
        self._sort(turn.symbol)

    def next(self) -> Turn | None:
        """Begin the next turn: an exit first; None when nothing may go."""
        entries, exits = self._ready
        for ready, is_exit in ((exits, True), (entries, False)):
            if ready and self._has_place(is_exit=is_exit):
                symbol = next(iter(ready))
                turn = self._lines[symbol].popleft()
                self._waiting -= 1
                if not self._lines[symbol]:
                    del self._lines[symbol]
                self._begin(symbol)
                return turn
        return None

    def give_back(self, symbol: str, *, keeps_symbol: bool = False) -> None:
        """End a turn; `keeps_symbol` while the symbol pauses."""
        self._sending -= 1
        if not keeps_symbol:
            self.free(symbol)

    def free(self, symbol: str) -> None:
        """Let the symbol's next order go."""
        self._busy.discard(symbol)
        self._sort(symbol)

    def _has_place(self, *, is_exit: bool) -> bool:
        return self._sending < self._parallel + (EXIT_PLACES if is_exit else 0)

    def _begin(self, symbol: str) -> None:
        self._busy.add(symbol)
        self._sending += 1
        self._sort(symbol)

    def _sort(self, symbol: str) -> None:
        """Keep the ready lists true for this symbol."""
        line = self._lines.get(symbol)
        for ready, is_exit in zip(self._ready, (False, True), strict=True):
            if line and symbol not in self._busy and line[0].is_exit is is_exit:
                ready.setdefault(symbol, None)
            else:
                ready.pop(symbol, None)
