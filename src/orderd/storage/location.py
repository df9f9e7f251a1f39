"""Where a journal lives: the `database_url` setting, taken apart and checked before anything is opened."""

import os
from pathlib import Path
from urllib.parse import unquote

from orderd.storage.errors import JournalFileError, JournalUrlError

SCHEME = "sqlite+aiosqlite"
EXAMPLE = f"{SCHEME}:///var/lib/orderd/orderd.db"


def path_of(url: str) -> Path:
    """Return the database file that a URL names.

    `sqlite+aiosqlite:///relative/path` or `sqlite+aiosqlite:////absolute/path`. Raises JournalUrlError.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise JournalUrlError(f"{url!r} is not a database URL; write {EXAMPLE}")
    if scheme.startswith("postgres"):
        raise JournalUrlError(f"PostgreSQL is not in this build yet; use a SQLite file, such as {EXAMPLE}")
    if scheme not in {SCHEME, "sqlite"}:
        raise JournalUrlError(f"no journal speaks {scheme!r}; use a SQLite file, such as {EXAMPLE}")
    return _file_of(rest)


def _file_of(rest: str) -> Path:
    host, slash, path = rest.partition("/")
    if host or not slash:
        raise JournalUrlError(f"a SQLite URL names no host: three slashes, then the path, such as {EXAMPLE}")
    if "?" in path or "#" in path:
        raise JournalUrlError("a journal's URL takes no options: what keeps it safe is not for setting")
    if not path or unquote(path) == ":memory:":
        raise JournalUrlError("a journal in memory does not survive anything; name a file")
    return Path(unquote(path))


def check(path: Path) -> None:
    """Refuse a path that cannot hold a journal, before SQLite says so less clearly. Raises JournalFileError."""
    if path.is_dir():
        raise JournalFileError(f"{path} is a directory; name the file inside it")
    if not path.parent.is_dir():
        raise JournalFileError(f"{path.parent} is not a directory; create it first, on a local disk")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise JournalFileError(f"{path.parent} is not writable for this user; the journal keeps more files beside it")
    if path.exists():
        _check_file(path)


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise JournalFileError(f"{path} is not a regular file")
    if not os.access(path, os.R_OK | os.W_OK):
        raise JournalFileError(f"{path} is read-only for this user; a journal is written to")
