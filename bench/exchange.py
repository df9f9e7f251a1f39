"""A venue in a process of its own, with a still market and money for any number of resting orders."""

import asyncio
import sys
from decimal import Decimal

from orderd.venue.options import VenueOptions
from orderd.venue.server import run_venue

KEY_ID = "bench-key"
SECRET = "bench-secret"
REQUESTS_PER_MINUTE = 1_000_000


def main() -> int:
    """Serve until SIGTERM."""
    options = VenueOptions(
        key_id=KEY_ID,
        secret=SECRET,
        quotes="fixed",
        cash=Decimal(10**9),
        requests_per_minute=REQUESTS_PER_MINUTE,
    )
    asyncio.run(run_venue(options))
    return 0


if __name__ == "__main__":
    sys.exit(main())
