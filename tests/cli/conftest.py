"""The `pfnlab` fixture: a command line, run in this process."""

import pytest

from tests.cli.command import Command


@pytest.fixture
def pfnlab(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)
