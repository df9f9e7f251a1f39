"""What must become of an order whose submit was not answered: the columns of the ambiguity matrix.

It depends on what became of the request (`answers.Did`), on what the order is for, and on what the broker can do.
"""

from collections.abc import Sequence
from enum import StrEnum
from itertools import product
from typing import NamedTuple

from orderd.venue.dialect import DuplicateIds, Lookup
from tests.ambiguity.answers import Did, Row, Says
from tests.reach import PROVES


class Broker(NamedTuple):
    """What the venue can be asked and tells, which is what its adapter declares."""

    duplicate_ids: DuplicateIds
    lookup: Lookup
    has_execution_ids: bool

    def __str__(self) -> str:
        """For the name of a test."""
        executions = "ids" if self.has_execution_ids else "no-ids"
        return f"refuses-{self.duplicate_ids}-lookup-{self.lookup}-{executions}"


BROKERS: Sequence[Broker] = [Broker(*each) for each in product(DuplicateIds, Lookup, (True, False))]
A_FEW: Sequence[Broker] = BROKERS if PROVES else [BROKERS[number] for number in (0, 3, 8, 11, 12, 17)]
"""Every value of every capability, and in `make prove` every combination."""


class Kind(StrEnum):
    """What an order is for."""

    RESTING = "rests"
    MARKET = "fills"
    EXIT = "exits"
    """Closes a position that is there, and rests."""


class Verdict(NamedTuple):
    """The order's state, how often it was sent (0: once or twice), and how many orders the broker has of it."""

    state: str
    sent: int
    there: int


def settled(kind: Kind) -> str:
    """The state of such an order at a broker that has it."""
    return "FILLED" if kind is Kind.MARKET else "ACCEPTED"


def judged(row: Row, kind: Kind, broker: Broker) -> Verdict:
    """Settle time and ten seconds after the answer (or the deadline), with a stream that is silent about it."""
    if row.says is Says.NOT_SENT:
        # A lie is found out by the resend, which is refused, or before it by a list.
        return Verdict(settled(kind), 0 if row.did is Did.ALL else 2, 1)
    is_there = row.did in {Did.ALL, Did.SOON}
    if broker.lookup is Lookup.NO:
        return Verdict("UNKNOWN", 1, int(is_there))  # nobody can know: so nobody says, and nobody sends
    if is_there:
        return Verdict(settled(kind), 1, 1)  # found, compared, adopted
    if broker.duplicate_ids is DuplicateIds.FOR_EVER or kind is Kind.EXIT:
        return Verdict(settled(kind), 2, 1)  # proven absent: the same once more
    return Verdict("SUBMIT_FAILED", 1, 0)  # proven absent: a first one that lands late would be a second


def at_rest(row: Row, kind: Kind, broker: Broker) -> Verdict:
    """Then the gates open: what was to land lands, and the stream tells whatever there is to tell."""
    before = judged(row, kind, broker)
    if row.did is Did.NOTHING:
        return before
    if row.did is not Did.AT_LAST:
        return Verdict(settled(kind), before.sent, 1)
    if before.sent == 1:
        return Verdict(settled(kind), 1, 1)  # the record that was given up is revived by proof
    if broker.duplicate_ids is DuplicateIds.FOR_EVER:
        return before  # the broker refuses the one that came late
    # Of two, the one that is not in the record is written down too, and cancelled.
    is_refused = broker.duplicate_ids is DuplicateIds.WHILE_OPEN
    return Verdict(settled(kind), 2, 1 if is_refused else 2)


def is_asked(row: Row, kind: Kind, broker: Broker) -> bool:
    """Whether the cell means anything.

    Left out: a broker that says in the very words its adapter lists "I did not take that in", has taken it in, and
    would take the same id again. Nothing that can be asked of such a broker in time would find out that it lies.
    """
    lied = row.says is Says.NOT_SENT and row.did is Did.ALL
    is_found_out = broker.duplicate_ids is DuplicateIds.FOR_EVER or (
        broker.duplicate_ids is DuplicateIds.WHILE_OPEN and kind is not Kind.MARKET
    )
    if lied and broker.lookup is Lookup.NO:
        return False  # refused as a duplicate, and cannot be found: it stays UNKNOWN, as `test_submits` says
    return not lied or is_found_out
