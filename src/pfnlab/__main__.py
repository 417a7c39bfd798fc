"""The command `pfnlab`, also as `python -m pfnlab`."""

import sys


def main() -> None:
    """The entry point.  What there is to import takes a while, in which there may be a Ctrl-C."""
    try:
        from pfnlab.cli import main as command
    except KeyboardInterrupt:
        print("pfnlab: interrupted", file=sys.stderr)
        sys.exit(3)
    command()


if __name__ == "__main__":
    main()
