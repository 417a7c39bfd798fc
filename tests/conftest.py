"""Printed text is compared whole, with the files in tests/snapshots/."""

from collections.abc import Callable
from pathlib import Path

import pytest

SNAPSHOTS = Path(__file__).parent / "snapshots"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-snapshots",
        action="store_true",
        help="write what is printed now to tests/snapshots/, to be read in the diff",
    )


@pytest.fixture
def same_as_snapshot(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with tests/snapshots/NAME.txt, byte for byte."""

    def compare(name: str, text: str) -> None:
        path = SNAPSHOTS / f"{name}.txt"
        text = text.rstrip("\n") + "\n"
        if request.config.getoption("--update-snapshots"):
            path.write_bytes(text.encode())
        assert path.is_file(), f"no snapshot {name}; run pytest --update-snapshots"
        assert text.encode() == path.read_bytes()

    return compare
