"""`orderd` and `python -m orderd`."""

import os
import sys


def main() -> None:
    """Run the command line."""
    from orderd.cli.main import app

    try:
        app()
    finally:
        _give_up_lost_lines()


def _give_up_lost_lines() -> None:
    """Lines that stderr has no room for are lost; Python would turn them into an exit code of its own (120)."""
    try:
        sys.stderr.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


if __name__ == "__main__":
    main()
