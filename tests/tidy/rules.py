"""The house rules that no linter knows, as functions from source to complaints.

Each rule takes one parsed module and yields the lines that break it; which files it is asked about, and proof that
it notices a breach, stand in test_tidy.py.
"""

import ast
import re
from collections.abc import Iterator
from itertools import chain

Complaint = tuple[int, str]

TURNSTILES = {"Approved": "risk", "Staged": "storage", "Recorded": "storage"}
MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 450
NAMELESS_MODULES = frozenset({"util", "utils", "helper", "helpers", "misc"})

_DURATION = re.compile(r"(_s|_seconds|timeout)$", re.IGNORECASE)
_NONDETERMINISTIC_CALLS = {
    "asyncio.wait": "the order of a set: await each task, or use a TaskGroup",
    "asyncio.as_completed": "completion order differs between runs",
    "hash": "differs between processes",
}
_CHANCE_MODULES = frozenset({"uuid", "uuid_utils", "secrets"})
_CHANCE_FUNCTIONS = frozenset({"os.urandom"})
_FLOAT_COLUMNS = frozenset({"Float", "FLOAT", "REAL", "Double", "DOUBLE", "DOUBLE_PRECISION"})


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a chain of names; empty for anything else."""
    match node:
        case ast.Name():
            return node.id
        case ast.Attribute():
            owner = dotted(node.value)
            return f"{owner}.{node.attr}" if owner else ""
        case _:
            return ""


def imported(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every imported name with its line: `import a.b` gives a.b, `from a import b` gives a.b."""
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                yield from ((node.lineno, alias.name) for alias in node.names)
            case ast.ImportFrom():
                yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
            case _:
                pass


def _real_names(tree: ast.Module) -> dict[str, str]:
    """What each local name of an imported thing really is: w is asyncio.wait after `from asyncio import wait as w`."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                names |= {alias.asname: alias.name for alias in node.names if alias.asname}
            case ast.ImportFrom():
                names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            case _:
                pass
    return names


def calls(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every call with its line and the real dotted name of what is called."""
    real = _real_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            head, dot, tail = dotted(node.func).partition(".")
            yield node.lineno, real.get(head, head) + dot + tail


def turnstiles_made(tree: ast.Module, room: str) -> Iterator[Complaint]:
    """`Approved`, `Staged` and `Recorded` are proof: only the room that did the work may make one.

    Also noticed: an assembled copy (`msgspec.convert(..., Staged)`), which is a way round the constructor.
    """
    for line, name in calls(tree):
        made = name.rpartition(".")[2]
        if TURNSTILES.get(made, room) != room:
            yield line, f"{made} may be made only in {TURNSTILES[made]}/"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] in {"convert", "decode", "Decoder"}:
            given = chain(node.args, (keyword.value for keyword in node.keywords))
            for made in (dotted(argument).rpartition(".")[2] for argument in given):
                if TURNSTILES.get(made, room) != room:
                    yield node.lineno, f"{made} may be made only in {TURNSTILES[made]}/, not converted into"


def floats(tree: ast.Module) -> Iterator[Complaint]:
    """Money and quantities are Decimal. A literal given to a name that says it is a duration is let through."""
    durations = {id(value) for value in _duration_values(tree)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float()) if id(node) not in durations:
                yield node.lineno, f"float literal {node.value}"
            case ast.Call() if dotted(node.func) == "float":
                yield node.lineno, "float()"
            case ast.Name() | ast.Attribute() if dotted(node).rpartition(".")[2] in _FLOAT_COLUMNS:
                yield node.lineno, f"{dotted(node)} column: decimals are stored as TEXT"
            case _:
                pass


def _duration_values(tree: ast.Module) -> Iterator[ast.expr]:
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg=str(name)) if _DURATION.search(name):
                yield node.value
            case ast.AnnAssign(value=ast.expr() as value) if _DURATION.search(dotted(node.target)):
                yield value
            case ast.Assign() if all(_DURATION.search(dotted(target)) for target in node.targets):
                yield node.value
            case ast.arguments():
                yield from _duration_defaults(node)
            case _:
                pass


def _duration_defaults(arguments: ast.arguments) -> Iterator[ast.expr]:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaulted = positional[len(positional) - len(arguments.defaults) :]
    pairs = chain(
        zip(defaulted, arguments.defaults, strict=True),
        zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    )
    yield from (value for argument, value in pairs if value is not None and _DURATION.search(argument.arg))


def nondeterminism(tree: ast.Module) -> Iterator[Complaint]:
    """What would make the second run of a seed differ from the first."""
    for line, name in calls(tree):
        if name in _NONDETERMINISTIC_CALLS:
            yield line, f"{name}(): {_NONDETERMINISTIC_CALLS[name]}"
    for node in ast.walk(tree):
        if isinstance(node, ast.For | ast.AsyncFor | ast.comprehension) and _is_set(node.iter):
            yield node.iter.lineno, "iterates a set: sort it"


def _is_set(node: ast.expr) -> bool:
    is_call = isinstance(node, ast.Call) and dotted(node.func) in {"set", "frozenset"}
    return is_call or isinstance(node, ast.Set | ast.SetComp)


def chance(tree: ast.Module) -> Iterator[Complaint]:
    """Ids and randomness come from `Ids` (system.py). A `random.Random` that is passed in may be named as a type."""
    for line, name in imported(tree):
        is_chance = name.split(".")[0] in _CHANCE_MODULES or name.startswith("random.")
        if is_chance and name != "random.Random":
            yield line, f"import of {name}: ask Ids"
    for line, name in calls(tree):
        if name.startswith("random.") or name in _CHANCE_FUNCTIONS:
            yield line, f"{name}(): ask Ids"


def unseeded_chance(tree: ast.Module) -> Iterator[Complaint]:
    """The venue plays the outside world and makes ids of its own, but a seed must give the same world again."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = dotted(node.func)
            is_seeded = name == "random.Random" and (node.args or node.keywords)
            is_computed = name in {"uuid.UUID", "uuid.uuid5"}
            if name.split(".")[0] in {*_CHANCE_MODULES, "random"} and not (is_seeded or is_computed):
                yield node.lineno, f"{name}(): not from the seed"
    for line, name in imported(tree):
        if name.startswith(("random.", "uuid.", "uuid_utils", "secrets")):
            yield line, f"import of {name}: say random.Random(seed), uuid.UUID or uuid.uuid5 in full"
    for line, name in calls(tree):
        if name in _CHANCE_FUNCTIONS:
            yield line, f"{name}(): not from the seed"


def service_stubs(tree: ast.Module) -> Iterator[Complaint]:
    """Messages may be used where they are translated; services only at the doors."""
    for line, name in imported(tree):
        if any(part.endswith("_pb2_grpc") for part in name.split(".")):
            yield line, f"import of {name}"


def long_functions(tree: ast.Module) -> Iterator[Complaint]:
    """A function fits on a screen."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield node.lineno, f"{node.name} has {lines} lines, more than {MAX_FUNCTION_LINES}"


# Written in pieces, so that this file does not break its own rule.
_HOSTS = ("pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "yarn" + "pkg.com", "proxy.go" + "lang.org")
REGISTRY_HOST = re.compile("|".join(re.escape(host) for host in _HOSTS))
HOME_PATH = re.compile(r"(?<![\w.~/-])/(?:home|Users)/(?!user/|you/|me/)[\w.-]+/|(?<![\w.~/-])/r[o]ot/")
SECRET = re.compile(
    "|".join(
        (
            "-----BEGIN [A-Z ]*PRIVATE" + " KEY-----",
            r"\b[PA]K[A-Z0-9]{18}(?:[A-Z0-9]{6})?\b",  # an Alpaca key id, paper or live, of 20 or 26 characters
            r"\bAKIA[0-9A-Z]{16}\b",
            r"\bgh[pousr]_[A-Za-z0-9]{36}\b",
            r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
            r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}",
        )
    )
)


def unwanted_text(text: str, machine_paths: tuple[str, ...] = ()) -> Iterator[Complaint]:
    """Addresses of package registries, paths of one machine, and what looks like a secret."""
    for number, line in enumerate(text.splitlines(), start=1):
        if REGISTRY_HOST.search(line):
            yield number, "names a package registry's host"
        if HOME_PATH.search(line) or any(path in line for path in machine_paths):
            yield number, "names a path of one machine"
        if SECRET.search(line):
            yield number, "looks like a secret"
