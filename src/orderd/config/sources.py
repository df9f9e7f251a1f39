"""Where values come from: flags, variables and a file, each as a flat layer whose every leaf knows its origin."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from orderd.config.checks import SECRETS, table
from orderd.config.problems import Problem, SettingsError

KeyPath = tuple[str, ...]
Tree = Mapping[str, Any]

PREFIX: Final = "ORDERD_"
# Variables of this house that are not settings of the server.
OTHER_VARIABLES: Final = frozenset({"CONFIG", "OUTPUT", "REFERENCE", "TIMEOUT"})
# Kubernetes puts these into every container beside a service named `orderd`.
_SERVICE_LINK = re.compile(r"SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP)(_\w+)?)?")
_TABLE = re.compile(r"\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_KEY_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


@dataclass(frozen=True, kw_only=True)
class Leaf:
    """One value as it was found, and where."""

    value: object
    origin: str


Layer = dict[KeyPath, Leaf]


class LayerSource(PydanticBaseSettingsSource):
    """A layer in the form that pydantic-settings merges."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        """Serve what `layer` holds."""
        super().__init__(settings_cls)
        self._tree = nest(layer)

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """One top-level value; the library asks through `__call__`, which gives all."""
        return self._tree.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Everything this layer sets, nested."""
        return self._tree


def nest(layer: Layer) -> dict[str, Any]:
    """`accounts.paper.mode` becomes a mode inside paper inside accounts."""
    tree: dict[str, Any] = {}
    for path, leaf in sorted(layer.items(), key=lambda item: len(item[0])):
        node = tree
        for part in path[:-1]:
            below = table(node.setdefault(part, {}))
            if below is None:
                break  # `accounts = 5` and a key below it: the check of `accounts` complains
            node = below
        else:
            node.setdefault(path[-1], {} if leaf.value == {} else leaf.value)
    return tree


def of_flags(flags: Mapping[str, str | None]) -> Layer:
    """Flags of the command line by the name of their setting; None was not given."""
    return {
        (name,): Leaf(value=value, origin="--" + name.replace("_", "-"))
        for name, value in flags.items()
        if value is not None
    }


def of_environment(environment: Mapping[str, str], account_ids: Mapping[str, str]) -> Layer:
    """`ORDERD_ACCOUNTS__PAPER__KEY_ID` is accounts.paper.key_id.

    Variables have no case: `account_ids` gives the spelling of accounts that the file knows, by `folded` name.
    Values are taken as text: the library's own source would turn a secret of digits into a number.
    """
    layer: Layer = {}
    for name, value in sorted(environment.items()):
        rest = name.removeprefix(PREFIX)
        if rest == name or rest.upper() in OTHER_VARIABLES or _SERVICE_LINK.fullmatch(rest):
            continue
        path = tuple(part.lower() for part in rest.split("__"))
        if len(path) > 1 and path[0] == "accounts":
            path = (path[0], account_ids.get(folded(path[1]), path[1]), *path[2:])
        if value or path == ("http_address",):
            layer[path] = Leaf(value=value, origin=f"variable {name}")
    return layer


def folded(account_id: str) -> str:
    """An account id as a variable's name can hold it: no case, no dashes."""
    return account_id.lower().replace("-", "_")


def of_file(path: Path) -> Layer:
    """A TOML file. Raises SettingsError when it cannot be read or is not TOML."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = tomllib.loads(text)
    except OSError as error:
        raise SettingsError([Problem(key="--config", origin=str(path), text=str(error.strerror))]) from error
    except UnicodeDecodeError as error:
        raise SettingsError([Problem(key="--config", origin=str(path), text="not UTF-8")]) from error
    except (ValueError, RecursionError) as error:  # also a number of thousands of digits, tables within tables
        raise SettingsError([Problem(key="--config", origin=str(path), text=f"not TOML: {error}")]) from error
    lines = dict(_lines(text))
    return {path_: Leaf(value=value, origin=_place(path, lines, path_)) for path_, value in _flatten((), tree)}


def _flatten(prefix: KeyPath, tree: Tree) -> Iterator[tuple[KeyPath, object]]:
    for key, value in tree.items():
        path = (*prefix, key)
        if below := table(value):
            yield from _flatten(path, below)
        else:
            yield path, value


def _lines(text: str) -> Iterator[tuple[KeyPath, int]]:
    """The line of each table and key, good enough to point at it: the last of two wins, values are not looked at."""
    inside: KeyPath = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _TABLE.fullmatch(line):
            inside = _parts(header.group(1))
            yield inside, number
        elif key := _KEY.match(line):
            yield (*inside, *_parts(key.group(1))), number


def _parts(dotted: str) -> KeyPath:
    return tuple(part.strip("\"'") for part in _KEY_PART.findall(dotted))


def _place(path: Path, lines: Mapping[KeyPath, int], key: KeyPath) -> str:
    """The line of the key, or of the table it is written inline in."""
    known = (lines[key[:length]] for length in range(len(key), 0, -1) if key[:length] in lines)
    number = next(known, None)
    return str(path) if number is None else f"{path}, line {number}"


def with_secrets_read(layer: Layer, problems: list[Problem]) -> Layer:
    """Replace each `key_id_file` by the key id that the file holds, so that one layer overrides another as one key."""
    read: Layer = {}
    for path, leaf in layer.items():
        name = path[-1].removesuffix("_file")
        if name == path[-1] or name not in SECRETS or len(path) != 3 or path[0] != "accounts":  # noqa: PLR2004
            read[path] = leaf
        elif (*path[:-1], name) in layer:
            problems.append(_problem(path, leaf, f"{name} is set in the same place; keep one of the two"))
        else:
            read |= _secret(path, name, leaf, problems)
    return read


def _secret(path: KeyPath, name: str, leaf: Leaf, problems: list[Problem]) -> Layer:
    # What stands there is not quoted: by mistake it may be the key itself.
    content = ""
    try:
        content = Path(str(leaf.value)).read_text(encoding="utf-8").strip()
    except OSError as error:
        problems.append(_problem(path, leaf, f"the file it names cannot be read: {error.strerror}"))
    except UnicodeDecodeError:
        problems.append(_problem(path, leaf, "the file it names is not UTF-8"))
    else:
        if not content:
            problems.append(_problem(path, leaf, "the file it names is empty"))
    return {(*path[:-1], name): Leaf(value=content, origin=f"the file of {path[-1]}, {leaf.origin}")}


def _problem(path: KeyPath, leaf: Leaf, text: str) -> Problem:
    return Problem(key=".".join(path), origin=leaf.origin, text=text)
