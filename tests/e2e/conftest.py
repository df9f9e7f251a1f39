"""A house that several scenarios share, and what a failing one shows: the end of every process's log."""

from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.canary import shown_below
from tests.e2e.audit import every_order, open_discrepancies
from tests.e2e.harness import House, trading
from tests.reach import Reached

LAST = 4000


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the logs of the houses that the test lived in."""
    report = yield
    given = getattr(item, "funcargs", {})
    shared = given.get("house")
    directories = {given.get("tmp_path"), shared.directory if isinstance(shared, House) else None} - {None}
    if report.failed:
        for log in sorted(log for directory in directories for log in Path(directory).rglob("*.log")):
            report.sections.append((log.name, log.read_text(encoding="utf-8", errors="replace")[-LAST:]))
    return report


def pytest_itemcollected(item: pytest.Item) -> None:
    """Let `-k no_key_is_given_away` mean every scenario: each is searched when it ends."""
    item.extra_keyword_matches.add(no_key_is_given_away.__name__)


@pytest.fixture(autouse=True)
def no_key_is_given_away(tmp_path: Path) -> Iterator[None]:
    """At the end of every scenario: no key in anything it left behind. (What clients heard, `trading` listens to.)"""
    yield
    assert shown_below(tmp_path) == [], "a key was given away"
    files = sum(path.is_file() for path in tmp_path.rglob("*"))
    told = Reached("tests/e2e/conftest.py::no_key_is_given_away")
    told("P14", "logs, journals and other files of end-to-end runs searched for keys", files)
    told.tell()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """One house for the scenarios of a file that leave both processes alone."""
    directory = tmp_path_factory.mktemp("house")
    async with trading(directory, accounts={"paper": {"parallel_submits": 32}}) as house:
        yield house
    assert shown_below(directory) == [], "a key was given away"


@pytest_asyncio.fixture(loop_scope="module")
async def house(shared_house: House) -> AsyncIterator[House]:
    """The shared house, its venue calm before and after; audits look at what this scenario does."""
    shared_house.left_alone = frozenset(order.order_id for order in await every_order(shared_house))
    shared_house.known_discrepancies = await open_discrepancies(shared_house)
    yield shared_house
    await shared_house.venue.calm()
    await shared_house.venue.settings(is_auto_fill=True, partial_rate=0, route_delay_ms=1, fill_delay_ms=1)
