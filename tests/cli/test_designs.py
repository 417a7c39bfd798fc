"""pfnlab list, show and new."""

import inspect
from pathlib import Path

import pytest

from pfnlab.catalogue import all_designs, all_rules, all_scenarios, scenario_groups
from tests.cli.command import Command


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory, which is the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_list_names_every_design_scenario_and_rule(pfnlab: Command) -> None:
    ran = pfnlab("list")

    listed = {line.split()[0] for line in ran.out.splitlines() if line.startswith("  ")}
    assert ran.status == 0
    assert set(all_designs()) | set(all_scenarios()) | set(all_rules()) <= listed


def test_show_prints_the_lock_order_and_the_kernels(pfnlab: Command) -> None:
    ran = pfnlab("show", "remap_on_fault")

    assert ran.status == 0
    assert "    mmap_lock  >  vma_lock  >  memory_lock\n" in ran.out
    assert "kernels   v5.8 to v6.9\n" in ran.out


def test_show_has_a_place_for_every_hook_of_a_design(pfnlab: Command) -> None:
    """Each is at a line, or none; no function that the design has is left out."""
    for name, design in all_designs().items():
        lines = pfnlab("show", name).out.partition("\nhooks\n")[2].splitlines()
        shown = {line.split()[0]: line.split()[1] for line in lines}

        functions = {**vars(design), **vars(design.vm_ops)}
        written = {hook for hook, value in functions.items() if inspect.isfunction(value)}
        assert {hook for hook, place in shown.items() if ".py:" in place} == written
        assert set(shown) - written <= {hook for hook, value in functions.items() if not value}


def test_show_reads_the_docstring_of_a_file(pfnlab: Command, here: Path) -> None:
    pfnlab("new", "design", "mine")
    ran = pfnlab("show", "./mine.py")

    assert ran.status == 0
    assert ran.out.startswith("mine: one sentence on what the fault handler does.\n")


@pytest.mark.slow
def test_a_new_design_holds_in_every_scenario(pfnlab: Command, here: Path) -> None:
    made = pfnlab("new", "design", "mine")
    checked = pfnlab("check", "./mine.py")

    assert (made.status, checked.status) == (0, 0)
    assert made.out == "Wrote mine.py. Change it, then: pfnlab check ./mine.py\n"
    lines = checked.out.splitlines()
    groups = scenario_groups()
    assert lines[0] == "mine"
    assert [line.split()[:2] for line in lines[1 : len(groups) + 1]] == [
        [group, "ok,"] for group in groups
    ]
    assert lines[-1].endswith(f" {len(all_scenarios())} ok (every interleaving), 0 failed")


def test_a_new_design_says_nothing_of_the_releases_of_another(pfnlab: Command, here: Path) -> None:
    pfnlab("new", "design", "mine")

    text = (here / "mine.py").read_text(encoding="utf-8")
    assert "kernels=" not in text
    assert "year=" not in text
    assert "profiles=" not in text


def test_new_does_not_overwrite_a_file(pfnlab: Command, here: Path) -> None:
    (here / "mine.py").write_text("precious", encoding="utf-8")
    ran = pfnlab("new", "design", "mine")

    assert (ran.status, ran.out) == (2, "")
    assert ran.err == "pfnlab: mine.py exists already; it was left alone\n"
    assert (here / "mine.py").read_text(encoding="utf-8") == "precious"


def test_new_wants_a_name_that_python_can_import(pfnlab: Command, here: Path) -> None:
    ran = pfnlab("new", "design", "two words")

    assert ran.status == 2
    assert ran.err == "pfnlab: 'two words' cannot be a name; use letters, digits and _\n"
    assert list(here.iterdir()) == []


def test_a_design_that_ships_gets_no_namesake(
    pfnlab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = pfnlab("new", "design", "huge_fault")

    assert (ran.status, ran.err) == (
        2,
        "pfnlab: huge_fault is a design that ships with pfnlab; choose another name\n",
    )
    assert list(tmp_path.iterdir()) == []
