"""Hypothesis strategies for any core value, read off its type: a field that core gains is tried at once."""

import types
import typing
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
from hypothesis import strategies as st

DECIMALS = st.builds(
    lambda digits, scale: Decimal(digits).scaleb(-scale), st.integers(-(10**21), 10**21), st.integers(0, 9)
)
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds it
# Ids and texts as they come: any character that can be written down at all.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)

PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: TEXTS,
    bytes: st.binary(max_size=12),
    int: st.integers(0, 2**31 - 1),
    bool: st.booleans(),
    Decimal: DECIMALS,
    datetime: TIMES,
    type(None): st.none(),
}


def of(wanted: Any, **fixed: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:  # noqa: ANN401
    """Return a strategy for a type; `fixed` replaces fields of a struct."""
    if isinstance(wanted, typing.NewType):
        wanted = wanted.__supertype__
    if wanted in PLAIN:
        return PLAIN[wanted]
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in {typing.Union, types.UnionType}:
        return st.one_of(*[of(argument) for argument in arguments])
    if origin is tuple:
        is_open_ended = arguments[-1] is Ellipsis
        some = st.lists(of(arguments[0]), max_size=2).map(tuple)
        return some if is_open_ended else st.tuples(*[of(argument) for argument in arguments])
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return st.sampled_from(list(wanted))
    assert isinstance(wanted, type)
    assert issubclass(wanted, msgspec.Struct), wanted
    hints = typing.get_type_hints(wanted)
    return st.builds(
        wanted, **{name: fixed[name] if name in fixed else of(hints[name]) for name in wanted.__struct_fields__}
    )
