"""docs/reference/configuration.md is the settings model, in words: check that it is, or write it.

python scripts/check_docs_configuration.py            change nothing; exit 1 when the page is out of date
python scripts/check_docs_configuration.py --write    write the page
"""

import argparse
import sys
from enum import Enum
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from orderd.config import AccountSettings, RetentionSettings, RiskSettings, Settings
from orderd.config.settings import Allowed

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "configuration.md"

HEAD = """\
# Configuration

<!-- Written by scripts/check_docs_configuration.py from src/orderd/config/settings.py; edit that. -->

`orderd serve --config FILE` reads a TOML file; `ORDERD_CONFIG` names it too. A value is taken from the first of these
that has one: a flag of `orderd serve`, a variable, the file, the default. `orderd config show --origin` prints every
value as `serve` would take it, and where it came from, with secrets masked.

```toml
database_url = "sqlite+aiosqlite:///var/orderd.db"
grpc_address = "127.0.0.1:50051"
http_address = "127.0.0.1:8051"

[accounts.paper]
broker = "alpaca"
mode = "paper"
key_id_file = "secrets/key_id"
secret_key_file = "secrets/secret_key"

[accounts.paper.risk]
max_order_quantity = "500"

[risk]
max_order_notional = "100000"

[retention]
keep_events_days = 365
```

- **Variables**: `ORDERD_` and the key in capitals, with two underscores between tables, and dashes as underscores:
  `ORDERD_LOG_LEVEL`, `ORDERD_ACCOUNTS__PAPER__KEY_ID`, `ORDERD_RISK__MAX_ORDER_NOTIONAL`. An empty variable counts as
  not set, except `ORDERD_HTTP_ADDRESS`, which is then off. Lists are written with commas. The variables that
  Kubernetes makes for a service named `orderd` are not looked at.
- **Secrets** can be given by the path of a file that holds them: `key_id_file`, `secret_key_file`, or
  `ORDERD_ACCOUNTS__PAPER__SECRET_KEY_FILE`. They are shown by no command, error or log.
- **Real money** needs `mode = "live"`. A paper account is refused at the live address, a live one at the paper address,
  and a live one at an address that is not encrypted, unless that is on this machine.
- **Mistakes** are all told at once, each with its key, the line or variable it came from, and what is allowed. A key
  that nobody knows is a mistake.
"""


def default(field: FieldInfo) -> str:
    """The default, as it is written in the file."""
    if field.is_required():
        return "required"
    value = field.default
    if value is None or isinstance(value, BaseModel) or field.default_factory is not None:
        return ""
    if isinstance(value, Enum):
        return f'`"{str(value.value).lower()}"`'
    return f'`"{value}"`' if isinstance(value, str) and value else f"`{value}`" if value != "" else ""


def table(model: type[BaseModel]) -> str:
    """Every key of one model."""
    lines = ["| key | is | allowed | default |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        allowed = next(item.text for item in field.metadata if isinstance(item, Allowed))
        is_ = " ".join((field.description or "").split())
        lines.append(f"| `{name}` | {is_} | {allowed} | {default(field)} |".replace("<", "&lt;"))
    return "\n".join(lines)


def page() -> str:
    """The page as it should be."""
    sections = (
        ("Top level", Settings),
        ("`[accounts.<id>]`", AccountSettings),
        ("`[risk]` and `[accounts.<id>.risk]`", RiskSettings),
        ("`[retention]`", RetentionSettings),
    )
    return HEAD + "".join(f"\n## {title}\n\n{table(model)}\n" for title, model in sections)


def main() -> int:
    """Check or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the page")
    wanted = page()
    if parser.parse_args().write:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(wanted, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != wanted:
        sys.stderr.write(f"{PAGE.relative_to(ROOT)} is out of date: run python scripts/{Path(__file__).name} --write\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
