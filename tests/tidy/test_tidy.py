"""The house is tidy: rules.py asked about every file, and each rule shown to notice a breach."""

import ast
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from tests.tidy import rules
from tests.tidy.rules import Complaint

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src" / "orderd"

BELOW_THE_SERVER = (
    "core", "risk", "config", "venue", "ports", "wire", "brokers", "storage", "system", "logs", "engine", "desk",
)  # fmt: skip
DOORS = ("server", "client", "app", "cli", "__main__")
MONEY = ("core", "risk", "storage")
# Not a path of one machine, though a clone may stand right there.
SHARED_ROOTS = frozenset({"/", "/etc", "/home", "/mnt", "/opt", "/srv", "/tmp", "/usr", "/var", "/Users", "/builds"})


def room_of(path: Path) -> str:
    """`core` for src/orderd/core/order.py, `app` for src/orderd/app.py."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def modules(rooms: Iterable[str] | None = None) -> Iterator[Path]:
    """The source files of these rooms, or of all."""
    wanted = None if rooms is None else frozenset(rooms)
    yield from (p for p in sorted(SOURCE.rglob("*.py")) if wanted is None or room_of(p) in wanted)


def python_files() -> Iterator[Path]:
    """Everything that people write in Python, tests and scripts too. A migration is written once and never changed."""
    for folder in ("src", "tests", "scripts", "examples", "bench"):
        yield from (p for p in sorted((ROOT / folder).rglob("*.py")) if "migrations" not in p.parts)


def parse(path: Path) -> ast.Module:
    """The syntax tree of one file."""
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def told(paths: Iterable[Path], rule: Callable[[ast.Module], Iterator[Complaint]]) -> list[str]:
    """Ask one rule about many files."""
    return [f"{p.relative_to(ROOT)}:{line}: {what}" for p in paths for line, what in rule(parse(p))]


def tracked_files() -> list[Path]:
    """What git keeps. Outside a git tree (an unpacked archive) there is nothing to ask."""
    if not (ROOT / ".git").exists():
        pytest.skip("NOT CHECKED: this is no git tree, so nothing is tracked")
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    names = listing.stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def machine_paths() -> tuple[str, ...]:
    """Where this clone stands and where its user lives, unless that says nothing about the machine."""
    places = {str(ROOT), str(ROOT.parent), os.environ.get("HOME", "/")}
    return tuple(f"{place.rstrip('/')}/" for place in sorted(places - SHARED_ROOTS))


# --- the rules, asked about the house -------------------------------------------------------------


def test_there_is_something_to_check() -> None:
    assert {"core"} <= {room_of(path) for path in modules()}


def test_every_room_is_known_to_this_file() -> None:
    rooms = {room_of(path) for path in modules()} - {"__init__"}
    assert rooms <= {*BELOW_THE_SERVER, *DOORS, "relay"}


def test_every_folder_is_a_package() -> None:
    """import-linter does not see the modules of a folder without __init__.py: they would escape every contract."""
    folders = {path.parent for path in modules()}
    assert [str(f.relative_to(ROOT)) for f in sorted(folders) if not (f / "__init__.py").exists()] == []


def test_approved_staged_and_recorded_are_made_in_their_room_only() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {what}"
        for path in modules()
        for line, what in rules.turnstiles_made(parse(path), room_of(path))
    ]
    assert found == []


def test_money_is_never_a_float() -> None:
    assert told(modules(MONEY), rules.floats) == []


def test_nothing_below_the_server_depends_on_the_run() -> None:
    assert told(modules(BELOW_THE_SERVER), rules.nondeterminism) == []


def test_ids_and_randomness_come_from_system() -> None:
    assert told(modules(room for room in BELOW_THE_SERVER if room not in {"system", "venue"}), rules.chance) == []


def test_the_venue_is_the_same_world_again_for_the_same_seed() -> None:
    assert told(modules(["venue"]), rules.unseeded_chance) == []


def test_services_are_known_only_at_the_doors() -> None:
    assert told(modules(BELOW_THE_SERVER), rules.service_stubs) == []


def test_functions_fit_on_a_screen() -> None:
    assert told(python_files(), rules.long_functions) == []


def test_files_read_in_one_sitting() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()}
    long = {str(p.relative_to(ROOT)): n for p, n in lengths.items() if n > rules.MAX_FILE_LINES}
    assert long == {}


def test_no_module_is_named_after_nothing() -> None:
    names = {path.relative_to(ROOT): {path.stem, path.parent.name} for path in python_files()}
    assert [str(path) for path, parts in names.items() if parts & rules.NAMELESS_MODULES] == []


def test_tracked_files_name_no_registry_no_machine_and_no_secret() -> None:
    places = machine_paths()
    found: list[str] = []
    for path in tracked_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # an image or a descriptor
        found += [f"{path.relative_to(ROOT)}:{line}: {what}" for line, what in rules.unwanted_text(text, places)]
    assert found == []


# --- each rule notices a breach, and nothing else ---------------------------------------------------


def lines_of(found: Iterable[Complaint]) -> list[int]:
    """Where a rule complained."""
    return [line for line, _ in found]


@pytest.mark.parametrize(
    ("source", "room", "broken"),
    [
        ("Approved(intent=i)", "engine", True),
        ("turnstiles.Staged(order=o)", "engine", True),
        ("Recorded(order=o, first_sequence=1)", "risk", True),
        ("from orderd.core.turnstiles import Staged as S\nS(order=o)", "brokers", True),
        ("msgspec.convert(raw, Staged)", "engine", True),
        ("msgspec.json.decode(raw, type=turnstiles.Approved)", "engine", True),
        ("Approved(intent=i)", "risk", False),
        ("Staged(order=o)", "storage", False),
        ("match x:\n    case Approved(intent=i):\n        pass", "engine", False),
        ("def f(x: Staged) -> Recorded: ...", "engine", False),
    ],
)
def test_the_turnstile_rule(source: str, room: str, broken: bool) -> None:
    assert bool(lines_of(rules.turnstiles_made(ast.parse(source), room))) is broken


@pytest.mark.parametrize(
    ("source", "broken"),
    [
        ("price = 1.5", True),
        ("total = float(price)", True),
        ("Column('price', sa.Float)", True),
        ("def f(quantity=0.5): ...", True),
        ("def f(*, wait_s=0.5): ...", False),
        ("connect(path, timeout=5.0)", False),
        ("IDLE_S: float = 0.2", False),
        ("price = Decimal('1.5')", False),
    ],
)
def test_the_float_rule(source: str, broken: bool) -> None:
    assert bool(lines_of(rules.floats(ast.parse(source)))) is broken


@pytest.mark.parametrize(
    ("source", "broken"),
    [
        ("await asyncio.wait(tasks)", True),
        ("from asyncio import wait as w\nawait w(tasks)", True),
        ("import asyncio as aio\nfor t in aio.as_completed(tasks): ...", True),
        ("x = hash(order)", True),
        ("for a in {b, c}: ...", True),
        ("x = [a for a in set(names)]", True),
        ("for a in sorted({b, c}): ...", False),
        ("await asyncio.wait_for(task, 1)", False),
        ("x = order.hash()", False),
    ],
)
def test_the_determinism_rule(source: str, broken: bool) -> None:
    assert bool(lines_of(rules.nondeterminism(ast.parse(source)))) is broken


@pytest.mark.parametrize(
    ("source", "broken"),
    [
        ("import uuid", True),
        ("from uuid_utils import uuid7", True),
        ("import random\nx = random.random()", True),
        ("import random as r\nx = r.Random(7)", True),
        ("from random import choice", True),
        ("import os\nx = os.urandom(8)", True),
        ("import random\ndef f(rng: random.Random) -> None: rng.random()", False),
    ],
)
def test_the_chance_rule(source: str, broken: bool) -> None:
    assert bool(lines_of(rules.chance(ast.parse(source)))) is broken


@pytest.mark.parametrize(
    ("source", "broken"),
    [
        ("import random\nx = random.random()", True),
        ("import random\nx = random.Random()", True),
        ("import uuid\nx = uuid.uuid4()", True),
        ("from uuid import uuid4", True),
        ("import uuid_utils", True),
        ("import os\nx = os.urandom(8)", True),
        ("import random\nx = random.Random(rng.getrandbits(64))", False),
        ("import uuid\nx = uuid.uuid5(NAMESPACE, 'AAPL')", False),
    ],
)
def test_the_seed_rule(source: str, broken: bool) -> None:
    assert bool(lines_of(rules.unseeded_chance(ast.parse(source)))) is broken


@pytest.mark.parametrize(
    ("source", "broken"),
    [
        ("from oms.v1 import order_service_pb2_grpc", True),
        ("import oms.v1.order_service_pb2_grpc as rpc", True),
        ("from oms.v1.order_service_pb2_grpc import OrderServiceStub", True),
        ("from oms.v1 import order_pb2", False),
    ],
)
def test_the_service_rule(source: str, broken: bool) -> None:
    assert bool(lines_of(rules.service_stubs(ast.parse(source)))) is broken


@pytest.mark.parametrize(("lines", "broken"), [(60, False), (61, True)])
def test_the_length_rule(lines: int, broken: bool) -> None:
    source = "async def f():\n" + "    pass\n" * (lines - 1)
    assert bool(lines_of(rules.long_functions(ast.parse(source)))) is broken


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("--index-url https://" + "pypi" + ".org/simple", True),
        ('"resolved": "https://registry.' + "npm" + 'js.org/x"', True),
        ("/ho" + "me/alice/orderd", True),
        ("see /ro" + "ot/.cache", True),
        ("cd /builds/here/orderd", True),
        ("key_id = " + "PK" + "A1B2C3D4E5F6G7H8I9", True),
        ("-----BEGIN RSA PRIVATE" + " KEY-----", True),
        ("database_url = sqlite:///var/lib/orderd.db", False),
        ("http://127.0.0.1:8051/ro" + "ot/x", False),
        ("PKTEST", False),
    ],
)
def test_the_text_rule(text: str, broken: bool) -> None:
    assert bool(lines_of(rules.unwanted_text(text, ("/builds/here/",)))) is broken
