"""Running a command line in this process."""

from dataclasses import dataclass

import pytest

from pfnlab.cli import run


@dataclass(frozen=True)
class Ran:
    status: int
    out: str
    err: str


class Command:
    """`pfnlab("check", "huge_fault")` runs it and returns status and text."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, *arguments: str) -> Ran:
        self.capsys.readouterr()
        status = run(list(arguments))
        captured = self.capsys.readouterr()
        return Ran(status, captured.out, captured.err)
