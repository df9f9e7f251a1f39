"""What one subscriber is brought at once, and what the next one at its place is spared."""

from collections.abc import Sequence

import pytest

from orderd.server.subscription import MAX_RESPONSE_BYTES, PART_BYTES, Part, SharedParts, fitting


@pytest.mark.parametrize(
    ("sizes", "fit"),
    [
        ((1, 1, 1), 3),
        ((MAX_RESPONSE_BYTES - 1, 1, 1), 2),
        ((MAX_RESPONSE_BYTES, 1), 1),
        ((MAX_RESPONSE_BYTES + 1, 1), 1),
        ((1, MAX_RESPONSE_BYTES, 1), 1),
    ],
)
def test_a_response_holds_what_fits_and_one_event_at_least(sizes: Sequence[int], fit: int) -> None:
    assert fitting([bytes(size) for size in sizes]) == fit


def test_the_next_one_at_the_same_place_is_brought_the_same() -> None:
    shared, part = SharedParts(), Part(2, 7, b"both")
    assert shared.keep((5, 5, 7), part) is part
    assert shared.at((5, 5, 7)) is part
    for other in ((4, 5, 7), (5, 4, 7), (5, 5, 8)):
        assert shared.at(other) is None


@pytest.mark.parametrize("response", [None, b"x" * 700])
def test_what_is_kept_is_bounded_even_where_nothing_matched(response: bytes | None) -> None:
    size = PART_BYTES + len(response or b"")
    shared = SharedParts(most_bytes=10 * size)
    for number in range(100):
        shared.keep((number, number, number + 1), Part(1, number + 1, response))
    kept = [number for number in range(100) if shared.at((number, number, number + 1)) is not None]
    assert kept == list(range(90, 100)), "the latest"
