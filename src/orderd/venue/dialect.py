"""What this venue's broker can be asked and tells: Alpaca's ways, or those of a broker that can do less.

A test takes something away and sees what its client makes of that: ids that are not refused twice, orders that cannot
be looked up by the client's id, executions that are told only as a growing total.
"""

from enum import StrEnum


class DuplicateIds(StrEnum):
    """For how long a client order id is refused a second time."""

    NEVER = "never"
    WHILE_OPEN = "while_open"
    FOR_EVER = "for_ever"


class Lookup(StrEnum):
    """How an order is found by the client's id."""

    YES = "yes"
    """By a call of its own."""
    LIST_ONLY = "list_only"
    """There is no such call; lists and orders read by id show the client's id."""
    NO = "no"
    """Nothing that is read shows it: only the answer to the submit (or replace) and the stream do."""
