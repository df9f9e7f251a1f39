"""A JSON document that is almost what it was: one of its values replaced, dropped, doubled or buried."""

import json
import random
from collections.abc import Iterator
from typing import Final

ODD_VALUES: Final = (
    "null", "true", "false", "0", "-0", "-1", "1e5", "1E+40", "1e400", "1e-400", "0.1", "1e99999999999999999999",
    "-1e-99999999999999999999", "9" * 400, "9" * 5000, "0." + "9" * 400, "18446744073709551616", "[]", "{}", "[[]]",
    '""', '" "', '"0"', '"-0"', '"00"', '"+1"', '"1_000"', '" 12 "', '"\\uff11\\uff12"', '"1e5"', '"NaN"',
    '"-Infinity"', '"sNaN"', '"0x10"', '"1."', '".5"', '"1e99999999999999999999"', '"' + "9" * 5000 + '"',
    '"\\u0000"', '"\\ud83d\\ude00"', '"2026-02-30T00:00:00Z"', '"9999-12-31T23:59:59.999999999-23:59"',
    '"0001-01-01T00:00:00+23:59"', '"' + "x" * 9000 + '"',
    '{"id":"x","status":"new","legs":[{"id":"y","status":"new","legs":[{"id":"z","status":"new"}]}]}',
)  # fmt: skip
"""Values as JSON writes them, so that numbers keep digits that Python would not."""
DEEPEST: Final = 2_000
BURIED: Final = 20
"""One in so many odd values is legs within legs."""
_MARK: Final = "\u0001here\u0001"


def places(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """Where something stands in a document."""
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from places(item, (*path, key))


def twisted(document: bytes, chance: random.Random) -> bytes:
    """The document with something wrong. What is no JSON, or too deep for Python's own reader, stays as it is."""
    try:
        value = json.loads(document)
        place = chance.choice(list(places(value)))
    except (ValueError, ArithmeticError, RecursionError):
        return document
    odd = chance.choice(ODD_VALUES)
    if chance.randrange(BURIED) == 0:
        odd = buried(chance.randrange(DEEPEST))
    return with_value(value, place, odd)


def with_value(value: object, place: tuple[object, ...], odd: str) -> bytes:
    """The document with this JSON text at this place."""
    if not place:
        return odd.encode()
    copy = json.loads(json.dumps(value))
    inner = copy
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = _MARK
    return json.dumps(copy).replace(json.dumps(_MARK), odd).encode()


def buried(depth: int) -> str:
    """An order within the legs of an order, and so on."""
    return '{"id":"x","status":"new","legs":[' * depth + '{"id":"x","status":"new"}' + "]}" * depth
