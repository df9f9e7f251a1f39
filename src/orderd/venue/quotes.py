"""Bid, ask and last of every symbol: fixed, set by a test, read from a file, or a seeded random walk."""

import csv
import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Protocol

import msgspec

from orderd.venue.assets import Asset
from orderd.venue.money import ZERO, round_to
from orderd.venue.orders import Side


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """The market in one symbol, dollars a unit. A side of 0 means that nobody is there."""

    symbol: str
    bid: Decimal
    ask: Decimal
    last: Decimal
    previous_close: Decimal

    def touch(self, side: Side) -> Decimal:
        """What an order of this side trades at now."""
        return self.ask if side is Side.BUY else self.bid

    @property
    def middle(self) -> Decimal:
        """Half way between bid and ask."""
        return (self.bid + self.ask) / 2


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A new market for one symbol; `last` defaults to the middle."""

    symbol: str
    bid: Decimal
    ask: Decimal
    last: Decimal | None = None


class Source(Protocol):
    """Where quotes come from by themselves."""

    def next_at(self) -> datetime | None:
        """When the next moves are due; None when there are no more."""
        ...

    def take(self, board: "Quotes") -> Sequence[Move]:
        """The moves due at `next_at`; the source goes on to its next time."""
        ...


class Quotes:
    """The current market of every symbol."""

    def __init__(self) -> None:
        self._now: dict[str, Quote] = {}

    def open(self, asset: Asset) -> Quote:
        """The symbol's quote, made from its start price when nobody moved it yet (one tick of spread)."""
        known = self._now.get(asset.symbol)
        if known is not None:
            return known
        tick = asset.tick(asset.price)
        quote = Quote(
            symbol=asset.symbol,
            bid=asset.price,
            ask=asset.price + tick,
            last=asset.price,
            previous_close=asset.price,
        )
        self._now[asset.symbol] = quote
        return quote

    def move(self, move: Move) -> Quote:
        """Set a symbol's market."""
        known = self._now.get(move.symbol)
        last = move.last if move.last is not None else _between(move)
        quote = Quote(
            symbol=move.symbol,
            bid=move.bid,
            ask=move.ask,
            last=last,
            previous_close=known.previous_close if known else last,
        )
        self._now[move.symbol] = quote
        return quote

    def close_day(self) -> None:
        """Today's last becomes the previous close."""
        for symbol, quote in self._now.items():
            self._now[symbol] = msgspec.structs.replace(quote, previous_close=quote.last)

    def all(self) -> list[Quote]:
        """Every symbol anybody asked for, in that order."""
        return list(self._now.values())


def _between(move: Move) -> Decimal:
    if not move.bid or not move.ask:
        return move.bid or move.ask
    return (move.bid + move.ask) / 2


WALK_STEP: Final = Decimal("0.0002")


class Walk:
    """Every symbol on the board takes one random step of at most 0.02 % each `every`."""

    def __init__(self, rng: random.Random, start: datetime, every: timedelta, assets: Iterable[Asset]) -> None:
        self._rng = rng
        self._at = start + every
        self._every = every
        self._assets = list(assets)

    def next_at(self) -> datetime | None:
        """The walk never ends."""
        return self._at

    def take(self, board: Quotes) -> Sequence[Move]:
        """One step of every symbol."""
        self._at += self._every
        return [self._step(board, asset) for asset in self._assets]

    def _step(self, board: Quotes, asset: Asset) -> Move:
        quote = board.open(asset)
        drift = quote.last * WALK_STEP * self._rng.randint(-100, 100) / 100
        tick = asset.tick(quote.last)
        last = max(round_to(quote.last + drift, tick), tick * 2)
        return Move(symbol=asset.symbol, bid=last - tick, ask=last + tick, last=last)


class Tape:
    """Moves from a file, each at its own second after the start."""

    def __init__(self, moves: Iterable[tuple[datetime, Move]]) -> None:
        self._moves = sorted(moves, key=lambda entry: entry[0])
        self._next = 0

    def next_at(self) -> datetime | None:
        """When the next line is due."""
        return self._moves[self._next][0] if self._next < len(self._moves) else None

    def take(self, board: Quotes) -> Sequence[Move]:
        """All lines of that moment, in the file's order."""
        del board
        due = self.next_at()
        first = self._next
        while self._next < len(self._moves) and self._moves[self._next][0] == due:
            self._next += 1
        return [move for _, move in self._moves[first : self._next]]


def read_tape(lines: Iterable[str], start: datetime) -> Tape:
    """Read a CSV with the columns seconds,symbol,bid,ask and, if wanted, last.

    Raises ValueError naming the line that cannot be read.
    """
    moves: list[tuple[datetime, Move]] = []
    for number, row in enumerate(csv.DictReader(lines), start=2):
        try:
            moves.append((start + timedelta(seconds=float(row["seconds"])), _read_move(row)))
        except (KeyError, TypeError, ValueError, ArithmeticError) as wrong:
            raise ValueError(f"quote file, line {number}: {wrong!r}") from wrong
    return Tape(moves)


def _read_move(row: dict[str, str]) -> Move:
    bid, ask, last = Decimal(row["bid"]), Decimal(row["ask"]), row.get("last")
    if not (bid >= ZERO and ask >= ZERO and bid.is_finite() and ask.is_finite()):
        raise ValueError(f"bid {bid}, ask {ask}")
    return Move(symbol=row["symbol"], bid=bid, ask=ask, last=Decimal(last) if last else None)
