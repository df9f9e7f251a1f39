"""What is on a disk after a power cut: everything synced, and of the rest whatever the disk liked.

The model is the one that durable software is written against: a file's bytes are safe once the file was synced, a name
(created, removed, renamed) once its directory was. Until then each write is there, not there, or there in some of its
sectors only; a file that grew may have its new length and zeros or rubbish in it; names come and go one by one. What is
taken for granted is what SQLite takes for granted, too: a write does not harm bytes beside it (powersafe overwrite).
"""

import random
from collections.abc import Iterator
from pathlib import Path

from tests.crash.shim import Record

STYLES = ("nothing", "everything", "some", "torn-512", "torn-4096", "prefix")


class File:
    """One file's bytes on the disk, and what was done to it since its last sync."""

    def __init__(self) -> None:
        """Empty, and nobody asked for it to be kept."""
        self.safe = bytearray()
        self.pending: list[Record] = []

    def apply(self, record: Record) -> None:
        """Remember a write or a truncation."""
        self.pending.append(record)

    def sync(self) -> None:
        """All of it is safe now."""
        for record in self.pending:
            _do(self.safe, record)
        self.pending.clear()

    def after_a_cut(self, chance: random.Random, style: str) -> bytes:
        """The bytes that are found afterwards."""
        found = bytearray(self.safe)
        kept = chance.randrange(len(self.pending) + 1)
        for number, record in enumerate(self.pending):
            if style == "everything" or (style == "prefix" and number < kept):
                _do(found, record)
            elif style in {"some", "torn-512", "torn-4096"}:
                _do_in_part(found, record, chance, style)
        return bytes(found)


def _do(content: bytearray, record: Record) -> None:
    if record.kind == "T":
        _resize(content, record.offset)
    else:
        end = record.offset + len(record.data)
        if len(content) < end:
            _resize(content, end)
        content[record.offset : end] = record.data


def _resize(content: bytearray, length: int) -> None:
    if length < len(content):
        del content[length:]
    else:
        content.extend(bytes(length - len(content)))


def _do_in_part(content: bytearray, record: Record, chance: random.Random, style: str) -> None:
    if record.kind == "T" or style == "some":
        if chance.random() < 0.5:
            _do(content, record)
        return
    size = 512 if style == "torn-512" else 4096
    for start, data in _sectors(record, size):
        match chance.randrange(4):
            case 0 | 1:
                _do(content, Record("W", "", 0, start, data))
            case 2 if start + len(data) > len(content):  # the length grew, the bytes did not come
                rubbish = chance.randbytes(len(data)) if chance.random() < 0.5 else bytes(len(data))
                _do(content, Record("W", "", 0, max(start, len(content)), rubbish[max(0, len(content) - start) :]))
            case _:
                pass


def _sectors(record: Record, size: int) -> Iterator[tuple[int, bytes]]:
    start, end = record.offset, record.offset + len(record.data)
    while start < end:
        stop = min(end, (start // size + 1) * size)
        yield start, record.data[start - record.offset : stop - record.offset]
        start = stop


class Disk:
    """A directory, as far as it was traced. Feed it records; cut the power whenever you like."""

    def __init__(self) -> None:
        """An empty directory."""
        self._safe: dict[str, File] = {}
        self._names: dict[str, File] = {}
        self._pending: list[tuple[str, str, File | None]] = []
        self._by_inode: dict[int, File] = {}

    def given(self, folder: Path) -> None:
        """Take what lies in this directory as safe."""
        for path in sorted(folder.iterdir()):
            file = File()
            file.safe = bytearray(path.read_bytes())
            self._safe[path.name] = self._names[path.name] = self._by_inode[path.stat().st_ino] = file

    def feed(self, record: Record) -> None:
        """Take one record of a trace."""
        match record.kind:
            case "O":
                self._by_inode[record.inode] = made = File()
                self._name(record.name, made)
            case "W" | "T":
                self._by_inode[record.inode].apply(record)
            case "S":
                self._by_inode[record.inode].sync()
            case "D":
                self._safe = dict(self._names)
                self._pending.clear()
            case "U":
                self._name(record.name, None)
            case "R":
                moved = self._names[record.name]
                # One change for the directory: never both names, never none.
                self._names.pop(record.name)
                self._names[record.data.decode()] = moved
                self._pending.append((record.data.decode(), record.name, moved))
            case _:
                pass

    def _name(self, name: str, file: File | None) -> None:
        if file is None:
            self._names.pop(name, None)
        else:
            self._names[name] = file
        self._pending.append((name, "", file))

    def after_a_cut(self, seed: int, style: str) -> dict[str, bytes]:
        """The files that are found afterwards, with their bytes. The same seed and style find the same."""
        chance = random.Random(f"{seed} {style}")
        names = dict(self._safe)
        kept = chance.randrange(len(self._pending) + 1)
        for number, (name, instead_of, file) in enumerate(self._pending):
            match style:
                case "nothing":
                    is_there = False
                case "everything":
                    is_there = True
                case "prefix":
                    is_there = number < kept
                case _:
                    is_there = chance.random() < 0.5
            if is_there:
                names.pop(instead_of, None)
                if file is None:
                    names.pop(name, None)
                else:
                    names[name] = file
        return {name: file.after_a_cut(chance, style) for name, file in sorted(names.items())}


def write_image(files: dict[str, bytes], folder: Path) -> None:
    """Put an image into a directory in place of what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
