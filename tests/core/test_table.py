"""The table of moves, literally, and that nothing moves beside it."""

import pytest

from orderd.core.order import ENDED, OPEN, OrderState
from orderd.core.table import NEXT, ROWS, Move, allowed, machine, next_state

S = OrderState

# What docs/lifecycle.md lists, state by state: where an order may go without anybody having been wrong.
LISTED: dict[OrderState, set[OrderState]] = {
    S.CREATED: {S.SUBMITTED, S.DENIED, S.CANCELED, S.SUBMIT_FAILED, S.UNKNOWN},
    S.SUBMITTED: {
        S.ACCEPTED, S.PARTIALLY_FILLED, S.FILLED, S.CANCELED, S.EXPIRED, S.REJECTED, S.UNKNOWN, S.SUBMIT_FAILED,
    },
    S.UNKNOWN: {
        S.SUBMITTED, S.ACCEPTED, S.PARTIALLY_FILLED, S.FILLED, S.CANCELED, S.EXPIRED, S.REJECTED, S.SUBMIT_FAILED,
    },
    S.ACCEPTED: {S.PARTIALLY_FILLED, S.FILLED, S.CANCELED, S.EXPIRED, S.REJECTED},
    S.PARTIALLY_FILLED: {S.PARTIALLY_FILLED, S.FILLED, S.CANCELED, S.EXPIRED},
}  # fmt: skip

# And where it is brought back to by proof: a late fill, a live report on what was refused or ended by us, a bust.
PROVEN: dict[OrderState, set[OrderState]] = {
    S.PARTIALLY_FILLED: {S.ACCEPTED},
    S.FILLED: {S.ACCEPTED, S.PARTIALLY_FILLED, S.CANCELED},
    S.CANCELED: {S.SUBMITTED, S.ACCEPTED, S.PARTIALLY_FILLED, S.FILLED},
    S.EXPIRED: {S.SUBMITTED, S.ACCEPTED, S.PARTIALLY_FILLED, S.FILLED},
    S.REJECTED: {S.SUBMITTED, S.ACCEPTED, S.PARTIALLY_FILLED, S.FILLED},
    S.SUBMIT_FAILED: {S.SUBMITTED, S.ACCEPTED, S.PARTIALLY_FILLED, S.FILLED},
    S.REPLACED: {S.SUBMITTED, S.ACCEPTED, S.PARTIALLY_FILLED},
}


def reached_from(state: OrderState) -> set[OrderState]:
    return {dest for (source, _), dest in NEXT.items() if source is state}


@pytest.mark.parametrize("state", list(OrderState))
def test_the_table_is_the_list(state: OrderState) -> None:
    resent = {S.SUBMITTED} if state is S.SUBMITTED else set()
    assert reached_from(state) - resent == LISTED.get(state, set()) | PROVEN.get(state, set())


def test_every_state_is_either_open_or_ended() -> None:
    assert set(OrderState) == OPEN | ENDED
    assert not OPEN & ENDED


def test_denied_is_for_ever() -> None:
    assert allowed(OrderState.DENIED) == ()


def test_every_move_is_used_and_every_row_is_compiled() -> None:
    assert {move for move, _, _ in ROWS} == set(Move)
    assert len(NEXT) == sum(len(sources) for _, sources, _ in ROWS)
    assert all(next_state(source, move) is dest for move, sources, dest in ROWS for source in sources)


def test_what_is_not_in_the_table_leads_nowhere() -> None:
    assert next_state(OrderState.FILLED, Move.REJECT) is None


def test_the_lookup_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        NEXT[OrderState.FILLED, Move.REJECT] = OrderState.REJECTED  # type: ignore[index]


def test_the_machine_declares_what_the_lookup_says() -> None:
    declared = {
        (row.source, event.name, row.dest)
        for event in machine().events.values()
        for rows in event.transitions.values()
        for row in rows
    }
    assert declared == {(source.value, move.value, dest.value) for (source, move), dest in NEXT.items()}
