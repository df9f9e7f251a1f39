"""Whatever bytes come: no parser raises anything but its own error, gives a float back, or takes for ever.

The same targets run under a coverage-guided fuzzer (`make fuzz`); what that once found is replayed here.
"""

import json
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fuzz.seeds import FOUND, seeds
from fuzz.targets import LONGEST, TARGETS
from fuzz.twisting import ODD_VALUES, buried, places, twisted, with_value
from tests.reach import Reached, scaled

NAMES = list(TARGETS)
JSON_TARGETS = ["broker_order", "broker_lists", "broker_error", "broker_frame", "venue_body", "venue_frame"]
SLOW = {"venue_query": 10, "config": 4}
"""These take so many times as long as the others, so they get so many times fewer inputs."""
ALPHABETS = {
    "broker_words": "0123456789-:TZ.+/ ABCUSDT\u0661\uff11",
    "token": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=",
    "fields": "0123456789.-+eE_ ,ABCP/\u0661\uff11\u200b\n",
    "command_line": "0123456789.-+:eE_ ,ABCP/[]=\u0661\uff11\u200b\n",
    "config": "[]{}=\"'.#\n \\0123456789eE+-:TZaccountsriskpaperbroker_simulated",
}

properties = settings(
    max_examples=scaled(2_000, part=40), suppress_health_check=list(HealthCheck), database=None, print_blob=True
)


@pytest.mark.scaled
@pytest.mark.parametrize("name", NAMES)
def test_any_bytes(name: str, reached: Reached) -> None:
    target = TARGETS[name]
    text = st.text(alphabet=ALPHABETS[name], max_size=300).map(str.encode) if name in ALPHABETS else st.nothing()

    @properties
    @given(st.one_of(st.binary(max_size=400), text, st.text(max_size=200).map(lambda t: t.encode(errors="replace"))))
    def holds(data: bytes) -> None:
        target(data)

    holds()
    reached("P17", "random inputs to parsers: their own error or an exact value", scaled(2_000, part=40))


@pytest.mark.scaled
@pytest.mark.parametrize("name", NAMES)
def test_what_was_right_with_bytes_changed(name: str, reached: Reached) -> None:
    target, chance = TARGETS[name], random.Random(name)
    known = seeds(name)
    count = scaled(20_000 // SLOW.get(name, 1), part=40)
    for _ in range(count):
        data = bytearray(chance.choice(known)[:LONGEST])
        for _ in range(chance.randint(1, 4)):
            at = chance.randrange(len(data) + 1)
            data[at : at + chance.randrange(4)] = chance.randbytes(chance.randrange(4))
        target(bytes(data))
    reached("P17", "inputs with bytes changed: their parser's own error or an exact value", count)


@pytest.mark.scaled
@pytest.mark.parametrize("name", JSON_TARGETS)
def test_what_was_right_with_one_value_changed(name: str, reached: Reached) -> None:
    target, chance = TARGETS[name], random.Random(name)
    known = seeds(name)
    count = scaled(20_000, part=40)
    for _ in range(count):
        target(twisted(chance.choice(known), chance))
    reached("P17", "broker's payloads with one value changed: a parse error or an exact value", count)


@pytest.mark.parametrize("odd", ODD_VALUES, ids=lambda odd: odd[:30])
def test_every_odd_value_in_every_place_of_an_order_and_a_frame(odd: str) -> None:
    for name in ("broker_order", "broker_frame", "venue_body"):
        document = json.loads(seeds(name)[0])
        for place in places(document):
            TARGETS[name](with_value(document, place, odd))


@pytest.mark.parametrize("depth", [2, 100, 240, 500, 5_000])
def test_legs_within_legs(depth: int) -> None:
    for name in JSON_TARGETS:
        TARGETS[name](buried(depth).encode())
        TARGETS[name](b"[" * depth + b"]" * depth)
    TARGETS["config"](b"x = " + b"[" * depth)
    TARGETS["config"](b"[accounts.a]\nx = " + b"{y=" * depth)


FOUND_INPUTS = [(path.parent.name, path) for path in sorted(FOUND.glob("*/*"))]


@pytest.mark.parametrize(
    ("name", "path"), FOUND_INPUTS, ids=[f"found-{p.parent.name}-{p.name}" for _, p in FOUND_INPUTS]
)
def test_what_was_found_once(name: str, path: Path) -> None:
    TARGETS[name](path.read_bytes())
