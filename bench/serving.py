"""orderd as it is served, with switches that only a measurement needs. `python -m bench.serving JOURNAL`.

`--loop` and `--no-freeze` take uvloop and gc.freeze away, each by itself. `--commits FILE` writes, at the end, one line
for each commit: the head after it and the monotonic nanoseconds at which COMMIT returned. `--profile FILE` runs the
event loop's thread under cProfile.
"""

import argparse
import asyncio
import cProfile
import gc
import sys
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path

import uvloop

from bench import exchange
from bench.canned import canned_broker
from orderd import app, logs
from orderd.config.settings import AccountSettings, RiskSettings, Settings
from orderd.storage.writer import Call, Writer, Written
from orderd.venue.options import VenueOptions

ACCOUNT = "paper"
LIMITS = RiskSettings(
    max_order_notional=Decimal(1_000_000_000),
    max_order_quantity=Decimal(1_000_000),
    max_open_orders=10_000_000,
    price_collar_percent=Decimal(5000),
)
"""Every limit is set, so that every one is judged; none says no."""


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(prog="bench.serving")
    parser.add_argument("journal", type=Path)
    parser.add_argument("--loop", choices=["uvloop", "asyncio"], default="uvloop")
    parser.add_argument("--no-freeze", action="store_true")
    parser.add_argument("--commits", type=Path)
    parser.add_argument("--profile", type=Path)
    parser.add_argument("--rest-url", default="")
    parser.add_argument("--stream-url", default="")
    parser.add_argument("--broker", choices=["venue", "canned", "silent"], default="venue")
    parser.add_argument("--parallel", type=int, default=64)
    return parser.parse_args()


def settings(asked: argparse.Namespace) -> Settings:
    """Return the settings of one account, simulated unless a venue is named."""
    far = {
        "broker": "alpaca",
        "key_id": exchange.KEY_ID,
        "secret_key": exchange.SECRET,
        "rest_url": asked.rest_url,
        "stream_url": asked.stream_url,
    }
    near = {"broker": "simulated"}
    account = AccountSettings.model_validate(
        {**(far if asked.rest_url else near), "queue_limit": 1_000_000}
        | {"send_within_s": 3600, "reconcile_interval_s": 300, "submit_timeout_s": 60}
    )
    beyond = {"parallel_submits": asked.parallel, "requests_per_minute": exchange.REQUESTS_PER_MINUTE}
    account = account.model_copy(update=beyond)  # more than a setting may be: what the broker allows is not measured
    return Settings(
        database_url=f"sqlite+aiosqlite:///{asked.journal.absolute()}",
        grpc_address="127.0.0.1:0",
        http_address="",
        log_level="error",
        max_streams=2_000,
        accounts={ACCOUNT: account},
        risk=LIMITS,
    )


def record_commits(path: Path) -> Callable[[], None]:
    """Note each commit from now on; the function returned writes them down."""
    seen: list[tuple[int, int]] = []
    write = Writer.write

    def noting(self: Writer, batch: Sequence[Call]) -> Written:
        written = write(self, batch)
        seen.append((written.head, time.monotonic_ns()))
        return written

    Writer.write = noting  # type: ignore[method-assign]
    return lambda: path.write_text("".join(f"{head} {at}\n" for head, at in seen), encoding="ascii") and None


def main() -> int:
    """Serve until SIGTERM."""
    asked = arguments()
    chosen = settings(asked)
    logs.configure(chosen.log_level)
    finish = record_commits(asked.commits) if asked.commits else None
    if asked.broker != "venue":
        app.VenueOptions = partial(VenueOptions, quotes="fixed")  # a market that moves costs, too
        app.simulated_broker = partial(canned_broker, is_silent=asked.broker == "silent")
    if asked.no_freeze:
        gc.freeze = lambda: None
    factory = uvloop.new_event_loop if asked.loop == "uvloop" else asyncio.new_event_loop
    profile = cProfile.Profile() if asked.profile else None
    with asyncio.Runner(loop_factory=factory) as runner:
        serving = app.serve(chosen)
        code = profile.runcall(runner.run, serving) if profile else runner.run(serving)
    if finish is not None:
        finish()
    if profile is not None:
        profile.dump_stats(asked.profile)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
