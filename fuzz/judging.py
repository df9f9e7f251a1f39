"""What holds of everything that a parser gives back."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

import msgspec

MOST_DIGITS = 60
"""Digits that a number inside may have: more than the 38 that anything is allowed, less than the core's 100."""


def exact(value: object, place: str = "") -> None:
    """No float anywhere inside, and no number that the core's arithmetic could not hold. Raises AssertionError."""
    assert not isinstance(value, float), f"a float at {place}: {value!r}"
    if isinstance(value, Decimal):
        assert value.is_finite(), f"{value} at {place}"
        assert abs(value.adjusted()) <= MOST_DIGITS, f"a number without bounds at {place}"
    for name, item in _inside(value):
        exact(item, f"{place}.{name}")


def _inside(value: object) -> Iterator[tuple[object, object]]:
    match value:
        case msgspec.Struct():
            yield from ((name, getattr(value, name)) for name in value.__struct_fields__)
        case Mapping():
            yield from value.items()
        case list() | tuple() | set() | frozenset():
            yield from enumerate(value)
        case _:
            pass
