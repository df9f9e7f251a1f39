"""The served venue as a fixture."""

from collections.abc import AsyncIterator

import pytest

from tests.venue.wire import Ear, Wire, listening, wired


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with wired() as wire:
        yield wire


@pytest.fixture
async def ear(wire: Wire) -> AsyncIterator[Ear]:
    async with listening(wire) as ear:
        yield ear
