"""The table of the lifecycle: which move is legal from which state, and where it leads.

Rule 1: the table is declared once, as data, with the `transitions` library, and compiled at import into an immutable
lookup. Nothing triggers the machine at run time: it is the declaration and it draws the diagram in docs/.
Rule 2: a state never changes except along a row of this table: a test tells every fact in every state and looks.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from transitions import Machine

from orderd.core.order import OrderState as S


class Move(StrEnum):
    """The reasons a state changes. A FILL moves by what is left, a cumulative report by what the broker calls it."""

    SEND = "send"
    ACKNOWLEDGE = "acknowledge"
    ACCEPT = "accept"
    FILL_PART = "fill_part"
    FILL_REST = "fill_rest"
    CANCEL = "cancel"
    EXPIRE = "expire"
    REJECT = "reject"
    DENY = "deny"
    LOSE = "lose"
    GIVE_UP = "give_up"
    LATE_FILL = "late_fill"
    REVIVE_QUEUED = "revive_queued"
    REVIVE_WORKING = "revive_working"
    REVIVE_PART = "revive_part"
    BUST_WORKING = "bust_working"
    BUST_PART = "bust_part"
    BUST_ENDED = "bust_ended"


_LIVE = [S.SUBMITTED, S.UNKNOWN, S.ACCEPTED, S.PARTIALLY_FILLED]
_REVIVABLE = [S.SUBMIT_FAILED, S.REJECTED, S.CANCELED, S.EXPIRED, S.REPLACED]

ROWS: tuple[tuple[Move, list[S], S], ...] = (
    (Move.SEND, [S.CREATED, S.SUBMITTED, S.UNKNOWN], S.SUBMITTED),
    (Move.DENY, [S.CREATED], S.DENIED),
    (Move.LOSE, [S.CREATED, S.SUBMITTED], S.UNKNOWN),
    (Move.GIVE_UP, [S.CREATED, S.SUBMITTED, S.UNKNOWN], S.SUBMIT_FAILED),
    (Move.ACKNOWLEDGE, [S.SUBMITTED, S.UNKNOWN], S.SUBMITTED),
    (Move.ACCEPT, [S.SUBMITTED, S.UNKNOWN], S.ACCEPTED),
    (Move.FILL_PART, _LIVE, S.PARTIALLY_FILLED),
    (Move.FILL_REST, _LIVE, S.FILLED),
    (Move.CANCEL, [S.CREATED, *_LIVE], S.CANCELED),
    (Move.EXPIRE, _LIVE, S.EXPIRED),
    (Move.REJECT, [S.SUBMITTED, S.UNKNOWN, S.ACCEPTED], S.REJECTED),
    # Ended states are left only by proof.
    (Move.LATE_FILL, [S.CANCELED, S.EXPIRED], S.FILLED),
    (Move.REVIVE_QUEUED, _REVIVABLE, S.SUBMITTED),
    (Move.REVIVE_WORKING, _REVIVABLE, S.ACCEPTED),
    (Move.REVIVE_PART, [*_REVIVABLE, S.FILLED], S.PARTIALLY_FILLED),
    (Move.FILL_REST, [S.SUBMIT_FAILED, S.REJECTED], S.FILLED),
    # After a bust the order is read again: what the broker then says decides.
    (Move.BUST_WORKING, [S.FILLED, S.PARTIALLY_FILLED], S.ACCEPTED),
    (Move.BUST_PART, [S.FILLED], S.PARTIALLY_FILLED),
    (Move.BUST_ENDED, [S.FILLED], S.CANCELED),
)


def machine() -> Machine:
    """Build the declaration as a `transitions` machine: for the lookup below and for the diagram in docs/."""
    return Machine(
        model=None,
        states=list(S),
        initial=S.CREATED,
        auto_transitions=False,
        transitions=[
            {"trigger": move.value, "source": source, "dest": dest}
            for move, sources, dest in ROWS
            for source in sources
        ],
    )


def compiled() -> dict[tuple[S, Move], S]:
    """Compile the machine into the lookup that the hot path reads."""
    lookup: dict[tuple[S, Move], S] = {}
    for event in machine().events.values():
        for rows in event.transitions.values():
            for row in rows:
                lookup[S(str(row.source)), Move(event.name)] = S(str(row.dest))
    return lookup


NEXT: Mapping[tuple[S, Move], S] = MappingProxyType(_LOOKUP := compiled())


def next_state(state: S, move: Move) -> S | None:
    """Where this move leads from here, None when the table has no such row."""
    return _LOOKUP.get((state, move))


def allowed(state: S) -> tuple[Move, ...]:
    """The moves the table has from this state, for error texts."""
    return tuple(move for move in Move if (state, move) in NEXT)
