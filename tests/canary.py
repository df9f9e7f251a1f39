"""Made-up keys that differ in every run, and the search for them in whatever a run leaves behind.

A key is looked for in pieces, so that a text that was cut is found too, and in the forms in which texts travel.
"""

import base64
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import quote

PIECE: Final = 12
GIVEN: Final = "secrets"
"""The folder in which a run is given its keys: the one place where they may stand."""


def _key_id(prefix: str) -> str:
    """A key id as real ones look: 26 letters and digits."""
    return f"{prefix}{secrets.token_hex(13).upper()}"[:26]


def _secret(prefix: str, length: int) -> str:
    """A secret in the alphabet of real ones, with the characters that other encodings change."""
    body = base64.b64encode(secrets.token_bytes(length)).decode().replace("=", "")
    return f"{prefix}/{body[: length - len(prefix) - 2]}+"


KEY_ID: Final = _key_id("CANARYK")
SECRET: Final = _secret("CANARYS", 40)
SECOND_KEY_ID: Final = _key_id("CANARYL")
SECOND_SECRET: Final = _secret("CANARYT", 40)
TOKEN: Final = _secret("CANARYU", 48)
"""A bearer token that a caller sends along."""
KEYS: Final[Mapping[str, str]] = {
    "key id": KEY_ID,
    "secret key": SECRET,
    "second key id": SECOND_KEY_ID,
    "second secret key": SECOND_SECRET,
    "token": TOKEN,
}


@cache
def _pieces(key: str) -> tuple[bytes, ...]:
    """What gives a key away: windows of it, as it is and as JSON, addresses, base64, hex and UTF-16 write it."""
    windows = [key[start : start + PIECE] for start in range(0, len(key) - PIECE + 1, PIECE // 2)]
    raw = key.encode()
    forms = {form for text in windows for form in (text, quote(text, safe=""), text.replace("/", "\\/"))}
    # Whatever stands before it in the encoded text, one of three alignments is this one; the rim depends on neighbours.
    forms |= {base64.b64encode(b"x" * shift + raw).decode()[4:-4] for shift in range(3)}
    forms |= {raw.hex(), raw.hex().upper()}
    return (*(form.encode() for form in sorted(forms)), *(text.encode("utf-16-le") for text in windows))


def shown_in(data: bytes | str) -> list[str]:
    """The names of the keys that this gives away, whole or in part."""
    raw = data.encode() if isinstance(data, str) else data
    return [name for name, key in KEYS.items() if any(piece in raw for piece in _pieces(key))]


def shown_below(folder: Path) -> list[str]:
    """Every file below the folder that gives a key away, and which; the folder of the given keys is left out."""
    found: list[str] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        within = path.relative_to(folder)
        if GIVEN in within.parts[:-1]:
            continue
        found += [f"{within}: {name}" for name in shown_in(path.read_bytes() + str(within).encode())]
        found += [f"{within}, {place}: {name}" for place, value in _cells(path) for name in shown_in(value)]
    return found


def _cells(path: Path) -> Iterator[tuple[str, bytes | str]]:
    """Every text and blob of a SQLite file and its log: in the file itself the long ones lie in pieces."""
    with path.open("rb") as file:
        if file.read(15) != b"SQLite format 3":
            return
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as reader:
            reader.text_factory = bytes
            tables = [row[0].decode() for row in reader.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for table in tables:
                rows = reader.execute(f'SELECT * FROM "{table}"')
                names = [column[0] for column in rows.description]
                for row in rows:
                    yield from (
                        (f"{table}.{name}", value)
                        for name, value in zip(names, row, strict=True)
                        if isinstance(value, bytes)
                    )
    except sqlite3.DatabaseError:
        return  # damaged on purpose: its bytes were looked at
