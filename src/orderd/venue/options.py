"""What `orderd venue` can be told, and the venue built from it."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import msgspec

from orderd.venue.accounts import START_CASH
from orderd.venue.alpaca.face import DEFAULT_KEY_ID, DEFAULT_SECRET, AlpacaFace, Options, wall_clock
from orderd.venue.assets import DEFAULT_ASSETS
from orderd.venue.core import Venue
from orderd.venue.dialect import DuplicateIds, Lookup
from orderd.venue.quotes import Source, Walk, read_tape
from orderd.venue.sessions import Sessions
from orderd.venue.state import Settings
from orderd.venue.witness import QUESTION, Witness

PROTOCOLS: Final = ("alpaca",)
HIGHEST_PORT: Final = 65_535


class VenueOptions(msgspec.Struct, frozen=True, kw_only=True):
    """All have a default; the defaults are a demo on a free port of this machine."""

    listen: str = "127.0.0.1:0"
    protocol: str = "alpaca"
    seed: int = 1
    key_id: str = DEFAULT_KEY_ID
    secret: str = DEFAULT_SECRET
    cash: Decimal = START_CASH
    sessions: str = "always"
    """always: every moment is a regular session; nyse: the exchange's hours."""
    quotes: str = "walk"
    """walk, fixed, or the path of a CSV (seconds,symbol,bid,ask[,last])."""
    walk_ms: int = 250
    partial_rate: Decimal = Decimal("0.1")
    has_fees: bool = False
    requests_per_minute: int = 200
    connection_limit: int = 0
    has_binary_frames: bool = True
    duplicate_ids: DuplicateIds = DuplicateIds.FOR_EVER
    lookup: Lookup = Lookup.YES
    has_execution_ids: bool = True
    witness_database: str = ""
    witness_question: str = QUESTION

    def address(self) -> tuple[str, int]:
        """Host and port of `listen`. Raises ValueError."""
        host, _, port = self.listen.rpartition(":")
        if not host or not port.isdigit() or int(port) > HIGHEST_PORT:
            raise ValueError(f"listen must be HOST:PORT, not {self.listen!r}")
        return host.strip("[]"), int(port)


def build(
    options: VenueOptions, clock: Callable[[], datetime] = wall_clock
) -> tuple[AlpacaFace, Callable[[], datetime]]:
    """A venue with one account behind Alpaca's face. Raises ValueError for an option that makes no sense."""
    if options.protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {', '.join(PROTOCOLS)}, not {options.protocol!r}")
    if options.sessions not in {"always", "nyse"}:
        raise ValueError(f"sessions must be always or nyse, not {options.sessions!r}")
    rng = random.Random(options.seed)
    now = clock()
    venue = Venue(
        rng=rng,
        now=now,
        settings=Settings(
            partial_rate=options.partial_rate, has_fees=options.has_fees, duplicate_ids=options.duplicate_ids
        ),
        sessions=Sessions(is_always_open=options.sessions == "always"),
        source=_source(options, rng, now),
    )
    witness = None
    if options.witness_database:
        witness = Witness(Path(options.witness_database), options.witness_question)
    face = AlpacaFace(
        venue,
        clock=clock,
        options=Options(
            requests_per_minute=options.requests_per_minute,
            has_binary_frames=options.has_binary_frames,
            connection_limit=options.connection_limit,
            lookup=options.lookup,
            has_execution_ids=options.has_execution_ids,
        ),
        witness=witness,
    )
    face.add_key(options.key_id, options.secret, venue.open_account(cash=options.cash))
    return face, clock


def _source(options: VenueOptions, rng: random.Random, now: datetime) -> Source | None:
    match options.quotes:
        case "fixed":
            return None
        case "walk":
            every = timedelta(milliseconds=max(options.walk_ms, 1))
            return Walk(random.Random(rng.getrandbits(64)), now, every, DEFAULT_ASSETS)
        case path:
            try:
                lines = Path(path).read_text(encoding="utf-8").splitlines()
            except OSError as missing:
                raise ValueError(f"quotes must be walk, fixed or a readable file: {missing}") from missing
            return read_tape(lines, now)
