"""Locks by name, for things that come and go: nothing of a name stays when nobody wants it any more."""

import asyncio
from collections.abc import AsyncGenerator, Hashable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)


@dataclass
class _Lock:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Locks(Generic[Name]):
    """A lock for each name that somebody holds, or waits for."""

    def __init__(self) -> None:
        """Nothing is held."""
        self._locks: dict[Name, _Lock] = {}

    def __len__(self) -> int:
        """How many names are held or waited for."""
        return len(self._locks)

    @asynccontextmanager
    async def hold(self, name: Name) -> AsyncGenerator[None]:
        """Hold a name. Its lock is let go with the last who wants it."""
        held = self._locks.setdefault(name, _Lock())
        held.users += 1
        try:
            async with held.lock:
                yield
        finally:
            held.users -= 1
            if not held.users:
                del self._locks[name]
