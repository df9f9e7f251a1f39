"""`orderd` and `python -m orderd`."""


def main() -> None:
    """Run the command line."""
    from orderd.cli.main import app

    app()


if __name__ == "__main__":
    main()
