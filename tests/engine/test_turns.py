"""Whose turn it is: order kept per symbol, exits not behind entries, a pause that blocks its symbol only."""

from hypothesis import given
from hypothesis import strategies as st

from orderd.core.values import OrderId
from orderd.engine.turns import EXIT_PLACES, Turn, Turns


def entry(name: str, symbol: str = "AAPL") -> Turn:
    return Turn(order_id=OrderId(name), symbol=symbol, is_exit=False)


def leaving(name: str, symbol: str = "AAPL") -> Turn:
    return Turn(order_id=OrderId(name), symbol=symbol, is_exit=True)


def test_orders_of_a_symbol_keep_their_order() -> None:
    turns = Turns(4)
    for name in ("a", "b", "c"):
        turns.join(entry(name))
    assert turns.next() == entry("a")
    assert turns.next() is None, "one of a symbol at a time"
    turns.give_back("AAPL")
    assert turns.next() == entry("b")


def test_an_exit_goes_when_entries_hold_every_place() -> None:
    turns = Turns(2)
    for symbol in ("A", "B", "C"):
        turns.join(entry(symbol, symbol))
    assert [turns.next(), turns.next(), turns.next()] == [entry("A", "A"), entry("B", "B"), None]
    turns.join(leaving("stop", "S"))
    assert turns.next() == leaving("stop", "S")
    assert turns.sending == 3


def test_an_exit_of_a_symbol_waits_for_what_is_ahead_of_it_there() -> None:
    turns = Turns(2)
    turns.join(entry("first"))
    turns.join(leaving("second"))
    assert turns.next() == entry("first")
    assert turns.next() is None
    turns.give_back("AAPL")
    assert turns.next() == leaving("second")


def test_a_pausing_symbol_gives_its_place_and_keeps_its_turn() -> None:
    turns = Turns(1)
    turns.join(entry("a1", "A"))
    turns.join(entry("b1", "B"))
    assert turns.next() == entry("a1", "A")
    turns.join(entry("a1", "A"), first=True)
    turns.give_back("A", keeps_symbol=True)
    assert turns.next() == entry("b1", "B"), "its place is free"
    turns.give_back("B")
    assert turns.next() is None, "its symbol is not"
    turns.free("A")
    assert turns.next() == entry("a1", "A")


def test_a_claim_needs_a_free_symbol_an_empty_line_and_a_place() -> None:
    turns = Turns(1)
    assert turns.claim(entry("a", "A"))
    assert not turns.claim(entry("a2", "A"))
    assert not turns.claim(entry("b", "B"))
    assert turns.claim(leaving("stop", "S")), "exits have places of their own"
    turns.join(entry("c", "C"))
    turns.give_back("A")
    assert not turns.claim(entry("c2", "C"))


class Desk:
    """Sends what the lines let go, and ends the longest running when told."""

    def __init__(self, places: int) -> None:
        self.turns = Turns(places)
        self.begun: list[Turn] = []
        self.running: list[Turn] = []

    def begin(self) -> None:
        while (turn := self.turns.next()) is not None:
            self.begun.append(turn)
            self.running.append(turn)

    def end_one(self) -> None:
        if self.running:
            self.turns.give_back(self.running.pop(0).symbol)
        self.begin()


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.booleans(), st.integers(0, 2)), max_size=60),
    st.integers(1, 3),
)
def test_no_turn_is_lost_doubled_or_out_of_its_symbols_order(moves: list[tuple[str, bool, int]], places: int) -> None:
    desk, joined = Desk(places), []
    for number, (symbol, is_exit, ends) in enumerate(moves):
        joined.append(Turn(order_id=OrderId(str(number)), symbol=symbol, is_exit=is_exit))
        desk.turns.join(joined[-1])
        for _ in range(ends):
            desk.end_one()
        assert desk.turns.sending == len(desk.running) <= places + EXIT_PLACES
        assert len({turn.symbol for turn in desk.running}) == len(desk.running)
    desk.begin()
    while desk.running:
        desk.end_one()
    assert sorted(desk.begun, key=lambda turn: int(turn.order_id)) == joined
    for symbol in "ABC":
        assert [t for t in desk.begun if t.symbol == symbol] == [t for t in joined if t.symbol == symbol]
    assert desk.turns.waiting == 0
