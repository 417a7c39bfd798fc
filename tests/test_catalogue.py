"""Designs, scenarios and rules: by name, or in a file."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from pfnlab import ModelError, scenarios
from pfnlab.catalogue import (
    NotFound,
    all_designs,
    all_rules,
    all_scenarios,
    check_rule_names,
    design_of,
    find_design,
    find_scenario,
    is_path,
    read_once,
    scenario_groups,
)
from pfnlab.kernel.profile import KERNELS
from pfnlab.scenarios.pairs import PAIRS, TRIPLES

FILE = '''
from dataclasses import replace
from pfnlab import scenario
from pfnlab.designs.huge_fault import design
from pfnlab.rules import RULES, leaf_lies_in_its_vma
from pfnlab.scenarios.faults import first_fault
from pfnlab.kernel import leaf_rule

one = replace(design, name="one")
two = replace(design, name="two")


@leaf_rule
def a_rule_of_mine(lab, vma, leaf):
    """Mine."""
    yield from ()


@scenario
def quiet(lab):
    """Nobody does anything."""
'''


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(FILE, encoding="utf-8")
    return str(path)


def test_designs_come_in_the_order_in_which_they_were_proposed() -> None:
    names = list(all_designs())

    assert names[:2] == ["remap_on_fault", "remap_on_fault_unchecked"]
    assert names.index("bulk_insert_on_fault") < names.index("huge_fault")


def test_scenarios_begin_with_the_simplest() -> None:
    assert list(all_scenarios())[:2] == ["first_fault", "two_faults"]


def test_every_scenario_is_in_one_group_and_in_the_same_order() -> None:
    assert [name for names in scenario_groups().values() for name in names] == list(all_scenarios())


def test_a_group_is_a_module_or_a_tuple_in_one() -> None:
    groups = scenario_groups()

    assert groups["faults"] == ["first_fault", "two_faults"]
    assert len(groups["pairs"]) == len(PAIRS)
    assert groups["triples"] == [scenario.name for scenario in TRIPLES]


def test_every_module_of_scenarios_has_its_place_in_the_list() -> None:
    files = Path(scenarios.__file__).parent.glob("*.py")
    no_scenarios = {"__init__", "actors", "numbers"}
    assert sorted(scenarios.MODULES) == sorted({f.stem for f in files} - no_scenarios)


def test_a_name_is_found() -> None:
    assert find_design("huge_fault") is all_designs()["huge_fault"]
    assert find_scenario("zap_vs_fault") is all_scenarios()["zap_vs_fault"]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ("huge_fault", False),
        ("./mine.py", True),
        ("mine.py", True),
        ("mine.py:one", True),
        ("dir/mine", True),
        (".", True),
    ],
)
def test_a_path_is_told_from_a_name(spec: str, path: bool) -> None:
    assert is_path(spec) is path


def test_one_of_several_in_a_file_is_found_by_its_name(file: str) -> None:
    assert find_design(f"{file}:two").name == "two"


def test_several_in_a_file_need_a_name(file: str) -> None:
    with pytest.raises(NotFound, match=r"holds several: say which, as in .*mine\.py:one"):
        find_design(file)


def test_what_a_file_imports_is_not_what_it_holds(file: str) -> None:
    with pytest.raises(NotFound, match="holds no design 'huge_fault'; there is one, two"):
        find_design(f"{file}:huge_fault")
    assert find_scenario(file).name == "quiet"


def test_what_a_file_only_imports_is_found_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "again.py"
    path.write_text("from pfnlab.designs.huge_fault import design\n", encoding="utf-8")

    assert find_design(str(path)) is all_designs()["huge_fault"]


def test_an_error_in_a_file_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("x = 1\ny = x / 0\n", encoding="utf-8")

    with pytest.raises(ModelError) as caught:
        find_design(str(path))

    assert str(caught.value) == f"{path}:2: ZeroDivisionError: division by zero"


def test_rules_of_the_kernel_and_of_the_engine_are_all_there() -> None:
    rules = all_rules()

    assert {"mmap_assert_write_locked", "lock_order", "no_data_race", "lock_balance"} <= set(rules)
    assert all(name == rule.name and rule.sentence for name, rule in rules.items())


def test_a_rule_is_known_by_name_and_by_number() -> None:
    check_rule_names(["R3", "lock_order"], ["first_fault"])


@pytest.mark.parametrize("name", ["nosuch", "", "r3", "R99"])
def test_an_unknown_rule_is_refused(name: str) -> None:
    with pytest.raises(NotFound, match="no rule is called"):
        check_rule_names([name], ["first_fault"])


def test_a_rule_in_the_file_of_a_scenario_is_known(file: str) -> None:
    check_rule_names(["a_rule_of_mine"], [file])
    with pytest.raises(NotFound):
        check_rule_names(["a_rule_of_mine"], ["first_fault"])


def test_a_file_may_import_what_is_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "beside_it.py").write_text("from pfnlab.designs.huge_fault import design\n")
    (tmp_path / "mine.py").write_text("from beside_it import design\n")

    assert find_design(str(tmp_path / "mine.py")).name == "huge_fault"


def test_every_profile_is_of_kernels_with_a_design_that_ships() -> None:
    assert [name for name, kernel in KERNELS.items() if design_of(kernel) is None] == []


def test_a_design_that_kernels_had_is_checked_on_one_of_them() -> None:
    for design in all_designs().values():
        assert set(design.profiles) <= set(KERNELS)
        assert not design.profiles or design.kernel in design.profiles


@pytest.mark.parametrize("profiles", ["v6.1", ["v6.1"], (6.1,)])
def test_profiles_that_are_no_tuple_of_names_are_refused(profiles: object) -> None:
    with pytest.raises(ModelError, match=r"design huge_fault: profiles is .*, and no tuple"):
        replace(all_designs()["huge_fault"], profiles=cast("tuple[str, ...]", profiles))


def test_a_file_is_read_once_in_a_block_that_says_so(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(FILE, encoding="utf-8")

    with read_once():
        before = find_scenario(str(path))
        path.write_text("", encoding="utf-8")
        again = find_scenario(str(path))

    assert again is before
    with pytest.raises(NotFound, match="holds no scenario"):
        find_scenario(str(path))
