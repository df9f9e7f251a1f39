"""The words of the order state change tables: who does what, and what the order is then.

A row is one thing that a client or the broker does, and the order after it. The same row is told to the core as a fact
and done to a venue in front of the whole server.
"""

from enum import StrEnum
from typing import NamedTuple


class Act(StrEnum):
    """Everything anybody does in a table."""

    # the client
    ASKS_CANCEL = "asks for the cancel"
    ASKS_REPLACE = "asks for other terms"
    IS_TOLD_NO = "asks for something that is refused here"
    SUBMITS_AGAIN = "submits the same once more"
    # the broker, to the order
    TAKES = "takes it in"
    WORKS = "works it"
    REFUSES = "refuses it at once"
    REJECTS = "rejects it"
    FILLS = "executes some of it"
    EXPIRES = "expires it"
    CANCELS = "cancels it"
    # the broker, to what was asked
    REFUSES_CANCEL = "refuses the cancel"
    REPLACES = "replaces it as asked"
    REFUSES_REPLACE = "refuses the replace"
    # the broker, unasked
    REPLACES_UNASKED = "replaces it, and nobody here asked for that"
    SAYS = "says a word about it"
    IS_READ = "is asked how it stands"
    BUSTS = "takes an execution back"
    CORRECTS = "corrects an execution"


class Step(NamedTuple):
    """What is done, with what. `word` is the broker's status; `number` the execution meant, counted from one."""

    act: Act
    quantity: str = ""
    price: str = ""
    word: str = ""
    number: int = 0


class Row(NamedTuple):
    """A step, and the order after it: state, executed, left, average price, wishes pending (C, R)."""

    step: Step
    state: str
    filled: str = "0"
    leaves: str = "10"
    average: str = ""
    pending: str = ""


class Scenario(NamedTuple):
    """A table. `not_at_the_broker` says why it cannot be played against Alpaca's protocol, when it cannot."""

    name: str
    title: str
    rows: tuple[Row, ...]
    time_in_force: str = "DAY"
    notional: str = ""
    is_held: bool = False
    """Whether the answer to the submit is on its way until the broker `takes it in`."""
    is_taken: bool = False
    """Whether somebody's order at the broker has the client id already."""
    not_at_the_broker: str = ""

    def __str__(self) -> str:
        """For the name of a test."""
        return f"{self.name} {self.title}"


def fills(quantity: str, price: str = "20") -> Step:
    """An execution."""
    return Step(Act.FILLS, quantity=quantity, price=price)


def says(word: str) -> Step:
    """A status without an execution."""
    return Step(Act.SAYS, word=word)


def to(quantity: str = "", price: str = "") -> Step:
    """A replace is asked for."""
    return Step(Act.ASKS_REPLACE, quantity=quantity, price=price)


def unasked(quantity: str = "", price: str = "") -> Step:
    """A successor nobody asked for."""
    return Step(Act.REPLACES_UNASKED, quantity=quantity, price=price)


def bust(number: int) -> Step:
    """The so-manieth execution is taken back."""
    return Step(Act.BUSTS, number=number)


def correct(number: int, quantity: str, price: str) -> Step:
    """The so-manieth execution becomes another."""
    return Step(Act.CORRECTS, number=number, quantity=quantity, price=price)


TAKES, WORKS, REFUSES, REJECTS = Step(Act.TAKES), Step(Act.WORKS), Step(Act.REFUSES), Step(Act.REJECTS)
EXPIRES, CANCELS, REFUSES_CANCEL = Step(Act.EXPIRES), Step(Act.CANCELS), Step(Act.REFUSES_CANCEL)
REPLACES, REFUSES_REPLACE, IS_READ = Step(Act.REPLACES), Step(Act.REFUSES_REPLACE), Step(Act.IS_READ)
ASKS_CANCEL, SUBMITS_AGAIN = Step(Act.ASKS_CANCEL), Step(Act.SUBMITS_AGAIN)


def is_told_no(quantity: str) -> Step:
    """A replace that is refused before the broker hears of it."""
    return Step(Act.IS_TOLD_NO, quantity=quantity)
