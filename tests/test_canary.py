"""The search for the made-up keys sees them: whole, in part, in every form, in every kind of file."""

import base64
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.canary import GIVEN, KEYS, SECRET, TOKEN, shown_below, shown_in

FORMS: dict[str, Callable[[str], bytes]] = {
    "as it is": lambda key: key.encode(),
    "in an address": lambda key: quote(key, safe="").encode(),
    "in JSON that escapes slashes": lambda key: json.dumps({"k": key}).replace("/", "\\/").encode(),
    "in a basic authorization": lambda key: base64.b64encode(f"user:{key}".encode()),
    "in base64 beside something": lambda key: base64.b64encode(b"ab" + key.encode() + b"c"),
    "in base64 beside something else": lambda key: base64.b64encode(b"a" + key.encode() + b"cd"),
    "in hex": lambda key: key.encode().hex().encode(),
    "as UTF-16": lambda key: key.encode("utf-16"),
    "its beginning": lambda key: key[:18].encode(),
    "its end": lambda key: key[-18:].encode(),
    "its middle": lambda key: key[4:24].encode(),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS.keys())
def test_every_key_is_seen_in_every_form(form: Callable[[str], bytes]) -> None:
    for name, key in KEYS.items():
        assert name in shown_in(b"something " + form(key) + b" else"), name


def test_other_texts_are_not_taken_for_keys() -> None:
    assert shown_in("a venue-key, CANARY, and " + "0123456789abcdef" * 100) == []
    assert len({key[:8] for key in KEYS.values()}) == len(KEYS)


def test_a_planted_key_is_found_in_a_log_a_name_and_a_nested_folder(tmp_path: Path) -> None:
    (tmp_path / "orderd.log").write_text(f'{{"event": "x", "key": "{SECRET}"}}\n', encoding="utf-8")
    nested = tmp_path / "a" / "b"
    nested.mkdir(parents=True)
    (nested / TOKEN.replace("/", "")[:40]).write_bytes(b"")
    assert shown_below(tmp_path) == [f"a/b/{TOKEN.replace('/', '')[:40]}: token", "orderd.log: secret key"]


def test_the_keys_that_were_given_are_no_find(tmp_path: Path) -> None:
    (tmp_path / GIVEN).mkdir()
    (tmp_path / GIVEN / "paper.key").write_text(SECRET, encoding="utf-8")
    assert shown_below(tmp_path) == []


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_a_planted_key_is_found_in_a_journal_also_where_the_page_ends(tmp_path: Path, mode: str) -> None:
    """A long value lies in pieces of a page each; one that only the log has is not in the file at all."""
    path = tmp_path / "orderd.db"
    with closing(sqlite3.connect(path)) as writer:
        writer.execute(f"PRAGMA journal_mode={mode}")
        writer.execute("CREATE TABLE raw_payloads (body BLOB, note TEXT)")
        writer.execute("INSERT INTO raw_payloads VALUES (?, ?)", (b"x" * 4050 + SECRET.encode() + b"y" * 9000, "fine"))
        writer.execute("INSERT INTO raw_payloads VALUES (?, ?)", (b"fine", f"the token {TOKEN}"))
        writer.commit()
        found = shown_below(tmp_path)
    assert "orderd.db, raw_payloads.body: secret key" in found
    assert "orderd.db, raw_payloads.note: token" in found
