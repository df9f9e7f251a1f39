"""From flags, environment and file to settings that hold together, or to every reason why they do not."""

import os
import types
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from orderd.config import checks, contradictions, sources
from orderd.config.problems import Problem, SettingsError
from orderd.config.settings import AccountSettings, Allowed, Settings
from orderd.config.sources import KeyPath, Layer, LayerSource
from orderd.core.order import Mode

_FILE_KEYS: Final = tuple(f"{name}_file" for name in checks.SECRETS)


def load(
    config: str | Path | None = None,
    *,
    flags: Mapping[str, str | None] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Read the settings: flag before variable before file before default.

    `config` is the file of `--config`; without one ORDERD_CONFIG names it; without both there is no file. `flags` are
    given by the name of their setting. Raises SettingsError with every problem found.
    """
    environment = os.environ if environment is None else environment
    layers = _layers(config, flags or {}, environment)
    problems: list[Problem] = []
    layers = [sources.with_secrets_read(layer, problems) for layer in layers]
    merged: Layer = {path: leaf for layer in reversed(layers) for path, leaf in layer.items()}
    origins = {".".join(path): leaf.origin for path, leaf in merged.items()}

    class Sourced(Settings):
        """The library asks the class, not the call, for its sources."""

        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            """Flags, environment, file: the first that has a value gives it."""
            return tuple(LayerSource(settings_cls, layer) for layer in layers)

        def model_post_init(self, context: Any, /) -> None:  # noqa: ANN401 - the library's signature
            """Remember where each value came from."""
            super().model_post_init(context)
            self._origins = types.MappingProxyType(origins)

    problems += _across_fields(sources.nest(merged), origins)
    try:
        settings = Sourced()
    except ValidationError as error:
        found = (_problem(detail, origins) for detail in error.errors(include_input=False, include_url=False))
        raise SettingsError(_once([*problems, *found])) from None
    if problems:
        raise SettingsError(_once(problems))
    return settings


def _layers(config: str | Path | None, flags: Mapping[str, str | None], environment: Mapping[str, str]) -> list[Layer]:
    file = config or environment.get(f"{sources.PREFIX}CONFIG")
    of_file = sources.of_file(Path(file)) if file else {}
    spellings = {sources.folded(path[1]): path[1] for path in of_file if path[0] == "accounts" and len(path) > 1}
    return [sources.of_flags(flags), sources.of_environment(environment, spellings), of_file]


# ------------------------------------------------------------------------------------------- problems of one key


def _problem(detail: ErrorDetails, origins: Mapping[str, str]) -> Problem:
    """One complaint of the library in the words of this house; the value itself is never quoted."""
    path = tuple(str(part) for part in detail["loc"] if part != "[key]")
    model, field = _field(path)
    if detail["type"] == "extra_forbidden":
        text = _unknown(path[-1], model)
    else:
        allowed = next(item.text for item in field if isinstance(item, Allowed))
        said = str(detail["ctx"]["error"]) + "; " if detail["type"] == "value_error" and "ctx" in detail else ""
        said = "missing; " if detail["type"] == "missing" else said
        text = f"{said}must be {allowed}"
    return Problem(key=".".join(path), origin=_origin(path, origins), text=text)


def _field(path: KeyPath) -> tuple[type[BaseModel], Sequence[object]]:
    """The model that holds a key, and what is annotated to it (nothing for an unknown key)."""
    model: type[BaseModel] = Settings
    metadata: Sequence[object] = ()
    for number, part in enumerate(path):
        if number == 1 and path[0] == "accounts":
            continue  # an account's own name
        if part not in model.model_fields:
            return model, ()
        field = model.model_fields[part]
        metadata = field.metadata
        below = AccountSettings if part == "accounts" else field.annotation
        if isinstance(below, type) and issubclass(below, BaseModel):
            model = below
    return model, metadata


def _unknown(name: str, model: type[BaseModel]) -> str:
    names = [*model.model_fields, *(_FILE_KEYS if model is AccountSettings else ())]
    close = get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    return "unknown key; " + (f"did you mean {close[0]}?" if close else f"known are {', '.join(names)}")


def _origin(path: KeyPath, origins: Mapping[str, str]) -> str:
    """Where this key, the table it would stand in, or else anything inside it, was written."""
    for length in range(len(path), 0, -1):
        key = ".".join(path[:length])
        inside = next((origin for name, origin in origins.items() if name == key or name.startswith(f"{key}.")), None)
        if inside is not None and (length == len(path) or len(path[:length]) > 1):
            return inside if length == len(path) else inside.split(", line ", maxsplit=1)[0]
    return ""


def _once(problems: Sequence[Problem]) -> list[Problem]:
    """Each key complains once, in the order of keys."""
    by_key: dict[str, Problem] = {}
    for problem in problems:
        by_key.setdefault(problem.key, problem)
    return [by_key[key] for key in sorted(by_key)]


# ------------------------------------------------------------------------------------------- problems between keys


def _across_fields(tree: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[Problem]:
    """What no single key can know. Looks at raw values, so that all problems come at once."""
    accounts = checks.table(tree.get("accounts", {}))
    if accounts is None:
        return
    if not accounts:
        yield Problem(key="accounts", origin="", text="no account is configured; add a table [accounts.<id>]")
    alike: defaultdict[str, list[str]] = defaultdict(list)
    for account_id, value in accounts.items():
        alike[sources.folded(account_id)].append(account_id)
        account = checks.table(value)
        yield from contradictions.between(account_id, account or {}, tree, origins)
        if account is not None and checks.lower(account.get("broker")) == "alpaca":
            yield from _alpaca(f"accounts.{account_id}", account, origins)
    for twins in alike.values():
        if len(twins) > 1:
            text = f"variables cannot tell it from {twins[0]}; use names that differ in more than case and dashes"
            yield Problem(key=f"accounts.{twins[1]}", origin="", text=text)


def _alpaca(key: str, account: Mapping[str, Any], origins: Mapping[str, str]) -> Iterator[Problem]:
    for name in checks.SECRETS:
        if not account.get(name):
            variable = f"{sources.PREFIX}{key.replace('.', '__').replace('-', '_').upper()}__{name.upper()}"
            yield Problem(
                key=f"{key}.{name}",
                origin=origins.get(f"{key}.{name}", ""),
                text=f"missing; an Alpaca account must have one: set {name}, {name}_file or the variable {variable}",
            )
    mode = checks.mode(account.get("mode", "paper"))
    if mode not in {Mode.PAPER, Mode.LIVE}:
        return
    for name in ("rest_url", "stream_url"):
        text = _misdirected(str(account.get(name) or ""), mode)
        if text:
            yield Problem(key=f"{key}.{name}", origin=origins.get(f"{key}.{name}", ""), text=text)


def _misdirected(url: str, mode: object) -> str:
    """Why this address must not get the keys of an account of this mode."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return ""  # its own check complains
    other = next((m for m, alpaca in checks.ALPACA_HOSTS.items() if alpaca == host and m != mode), None)
    if other is not None:
        return f'this is the address of {other.lower()} accounts; it must go with mode = "{other.lower()}"'
    if mode == Mode.LIVE and parts.scheme in {"http", "ws"} and not _is_loopback(host):
        return "not encrypted; a live account must use https and wss, except on this machine"
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
