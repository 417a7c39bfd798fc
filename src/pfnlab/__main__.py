"""`python -m pfnlab` is the command."""

from pfnlab.cli import main

if __name__ == "__main__":
    main()
