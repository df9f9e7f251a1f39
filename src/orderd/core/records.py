"""What the desk remembers: the kinds of its records."""

from enum import StrEnum


class RecordKind(StrEnum):
    """What a desk event is about; each has its own field in `oms.v1.DeskEvent`."""

    DECISION = "DECISION"
    """What a bot, a model or a person decided."""
    TRADE = "TRADE"
    """Entry, protection and exit as one thing."""
    COMPLETED_TRADE = "COMPLETED_TRADE"
    """A realised slice."""
    RISK = "RISK"
    """The risk state of an account."""
    POSITION = "POSITION"
    """What is held of a symbol in an account."""
    DISCREPANCY = "DISCREPANCY"
    """A difference between the broker's word and ours. It has a table and calls of its own, beside its events here."""
