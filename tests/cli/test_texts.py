"""The printed text of commands, whole."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import Command

COMMANDS = {
    "list": ["list"],
    "show_huge_fault": ["show", "huge_fault"],
    "show_remap_on_fault": ["show", "remap_on_fault"],
    "replay_that_breaks_nothing": ["replay", "huge_fault", "first_fault", "vcpu:3"],
}
CHECKS = {
    "matrix": ["check"],
    "check_huge_fault": ["check", "huge_fault"],
    "check_huge_fault_verbose": ["check", "huge_fault", "--verbose"],
    "check_remap_on_fault": ["check", "remap_on_fault"],
    "check_bulk_insert_on_fault": ["check", "bulk_insert_on_fault"],
    "check_first_fault": ["check", "first_fault"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_prints_its_snapshot(
    pfnlab: Command, name: str, same_as_snapshot: Callable[[str, str], None]
) -> None:
    same_as_snapshot(name, pfnlab(*COMMANDS[name]).out)


@pytest.mark.slow
@pytest.mark.usefixtures("ran_before")
@pytest.mark.parametrize("name", CHECKS)
def test_a_command_that_checks_prints_its_snapshot(
    pfnlab: Command, name: str, same_as_snapshot: Callable[[str, str], None]
) -> None:
    same_as_snapshot(name, pfnlab(*CHECKS[name]).out)


def test_a_new_design_reads_like_the_one_it_began_as(
    pfnlab: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    same_as_snapshot: Callable[[str, str], None],
) -> None:
    monkeypatch.chdir(tmp_path)
    pfnlab("new", "design", "mine")

    same_as_snapshot("new_design", (tmp_path / "mine.py").read_text(encoding="utf-8"))
