"""The library between a process and its files (shim.c): building it, telling it what to do, reading what it saw."""

import ctypes
import errno
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from enum import IntFlag
from pathlib import Path

import msgspec

SOURCE = Path(__file__).with_name("shim.c")
_HEAD = struct.Struct("<B3xIQqQ")


class Kind(IntFlag):
    """What a system call does; the same numbers as in shim.c."""

    READ = 1
    WRITE = 2
    SYNC = 4
    TRUNCATE = 8
    OPEN_READ = 16
    OPEN_WRITE = 32
    CREATE = 64
    ENTRY = 128
    CHANGES = WRITE | SYNC | TRUNCATE | CREATE | ENTRY
    EVERY = CHANGES | READ | OPEN_READ | OPEN_WRITE


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to one system call: the `at`th of these kinds. `error` 0: the process is killed at it."""

    at: int = 0
    kinds: int = int(Kind.CHANGES)
    error: int = 0
    is_for_ever: bool = False
    """Every later call of these kinds fails, too."""
    tear: int = 0
    """Sixteenths of the bytes of a killed write that are still written."""
    slow_us: int = 0
    is_lazy: bool = True
    """Syncs are noted and not done: a killed process loses nothing by it, and the test is quick."""

    def environment(self, library: Path, watched: Path, trigger: Path | None = None) -> dict[str, str]:
        """How to tell a process that knows nothing of this: its plan waits until the file `trigger` exists."""
        said = {
            "LD_PRELOAD": str(library),
            "SHIM_WATCH": str(watched),
            "SHIM_AT": str(self.at),
            "SHIM_KINDS": str(int(self.kinds)),
            "SHIM_ERRNO": str(self.error),
            "SHIM_FOR_EVER": str(int(self.is_for_ever)),
            "SHIM_TEAR": str(self.tear),
            "SHIM_SLOW_US": str(self.slow_us),
            "SHIM_LAZY": str(int(self.is_lazy)),
        }
        return said | ({"SHIM_TRIGGER": str(trigger)} if trigger is not None else {})


FAULTS = {
    "EIO": (errno.EIO, Kind.EVERY),
    "ENOSPC": (errno.ENOSPC, Kind.WRITE | Kind.CREATE),
    "EROFS": (errno.EROFS, Kind.CHANGES | Kind.OPEN_WRITE),
}
"""What each kind of failing disk says, and to which calls."""


def compiler() -> str | None:
    """The machine's C compiler, when there is one."""
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def build(folder: Path) -> Path:
    """Compile the library into this folder."""
    library, command = folder / "shim.so", compiler()
    assert command is not None, "no C compiler"
    options = ("-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl", "-lpthread")
    subprocess.run([command, *options], check=True)
    return library


class Shim:
    """The library as it was preloaded into this process."""

    def __init__(self) -> None:
        """Raises AttributeError where it was not preloaded."""
        library = ctypes.CDLL(None)
        self._watch, self._plan, self._mark = library.shim_watch, library.shim_plan, library.shim_mark
        self._counted = library.shim_counted
        self._counted.restype = ctypes.c_long
        self._plan.argtypes = [ctypes.c_long, *[ctypes.c_int] * 6]

    def watch(self, folder: Path, plan: Plan, trace: Path | None = None) -> None:
        """From now on: watch, and let happen what is planned. A trace is added to."""
        descriptor = -1 if trace is None else os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        p = plan
        self._plan(p.at, int(p.kinds), p.error, p.is_for_ever, p.tear, p.slow_us, p.is_lazy)
        self._watch(str(folder).encode(), descriptor)

    @property
    def counted(self) -> int:
        """Calls of the planned kinds so far."""
        return int(self._counted())

    def mark(self, word: str) -> None:
        """Put a word into the trace: what follows it was written later."""
        self._mark(word.encode())


class Record(msgspec.Struct, frozen=True):
    """One line of a trace. Kinds: Opened new, Written, Synced, Directory synced, Truncated, Unlinked, Renamed, Mark."""

    kind: str
    name: str
    inode: int
    offset: int
    data: bytes


def read_trace(path: Path) -> Iterator[Record]:
    """What happened, in its order."""
    text, place = path.read_bytes(), 0
    while place < len(text):
        kind, name_length, inode, offset, length = _HEAD.unpack_from(text, place)
        place += _HEAD.size
        name = text[place : place + name_length].decode()
        place += name_length
        yield Record(chr(kind), name, inode, offset, text[place : place + length])
        place += length
