"""The pages say what the code does."""

import importlib.util
import inspect
import json
import re
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import pytest

import pfnlab
from pfnlab.catalogue import all_rules, all_scenarios
from pfnlab.cost.words import WORDS
from pfnlab.designs import huge_fault, remap_on_fault
from pfnlab.kernel import Design, Lab, VmOperations
from pfnlab.report.data import report_data
from pfnlab.scenarios.zaps import zap_vs_fault

ROOT = Path(__file__).resolve().parent.parent.parent


def load_generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load_generator()
PAGES = generate.pages()
OTHER_PAGES = [ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md")]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.slow
@pytest.mark.usefixtures("ran_before")
@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_a_page_shows_what_its_commands_and_examples_print(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generate.Page(path).regenerated(), (
        "out of date: run `make docs`"
    )


@pytest.mark.parametrize("path", [*PAGES, *OTHER_PAGES], ids=name_of)
def test_every_relative_link_of_a_page_leads_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?![a-z]+:)([^)\s]+)\)", text):
        file, _, heading = target.partition("#")
        page = path.parent / file if file else path
        assert page.exists(), target
        if heading:
            assert heading in headings(page), target


def headings(path: Path) -> set[str]:
    """The headings of a page, as a link spells them."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_generated_section_has_an_end(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert text.count("<!-- generated:") == len(generate.SECTION.findall(text))


def test_every_number_is_either_that_of_a_rule_or_explained() -> None:
    numbers = [rule.number for rule in all_rules().values() if rule.number]

    assert set(numbers) <= set(generate.NUMBERS)
    assert set(generate.WITHOUT_A_RULE) == set(generate.NUMBERS) - set(numbers)


def test_every_number_has_a_row_in_the_page_on_rules() -> None:
    page = (ROOT / "docs" / "rules.md").read_text(encoding="utf-8")

    assert [number for number in generate.NUMBERS if f"\n| {number} | " not in page] == []


def test_every_row_of_the_catalogue_of_races_is_searched() -> None:
    rows = generate.SCENARIO_NUMBERS

    assert list(rows) == [f"S{number}" for number in range(1, 40)]
    assert [number for number, row in rows.items() if not (row.scenarios or row.stories)] == []
    named = {name for row in rows.values() for name in row.scenarios.split()}
    assert named <= set(all_scenarios())


def test_every_claim_about_a_design_has_a_row() -> None:
    page = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    claims = [
        *(f"a.F{n}" for n in (1, 2, 3, 8, 9, 10, 11, 12)),
        *(f"b.F{n}" for n in (1, 2, 3, 4, 7, 8)), "b.ok", "c", "d",
        *(f"e.F{n}" for n in (1, 2, 4, 5)), *(f"f.F{n}" for n in (2, 3, 4, 7, 8, 9)),
        *(f"g.F{n}" for n in (1, 3, 4, 5, 8)), "PAT 1", "PAT 2", "PAT 3", "1", "2", "4", "7",
    ]  # fmt: skip

    assert [claim for claim in claims if f"\n| {claim} | " not in page] == []


def test_every_public_name_has_a_section_in_the_page_on_the_interface() -> None:
    api = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")

    assert [name for name in pfnlab.__all__ if f"\n### {name}" not in api] == []


def test_all_that_a_scenario_may_do_is_in_the_page_on_the_interface() -> None:
    api = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for_engine = {"enforces", "is_judged", "place", "site_of", "task_named", "worth_showing"}
    methods = {
        name
        for name, _function in inspect.getmembers(Lab, inspect.isfunction)
        if not name.startswith("_")
    }

    assert for_engine < methods
    assert [name for name in sorted(methods - for_engine) if f"`{name}(" not in api] == []


def test_all_that_a_design_fills_in_is_in_the_page_on_the_interface() -> None:
    api = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    table = api[api.index("`Design(...)`") :]
    table = table[: table.index("```")]

    assert [each.name for each in fields(Design) if f"`{each.name}" not in table] == []
    assert [each.name for each in fields(VmOperations) if f"{each.name}=" not in table] == []


def test_every_word_of_a_workload_is_in_the_page_on_cost() -> None:
    page = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")

    assert [word for word in WORDS if f"`{word}`" not in page] == []


def test_no_finding_names_a_step_by_its_number() -> None:
    """Numbers of steps move with every change of the model."""
    page = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")

    assert re.findall(r"\bsteps? \d+", page) == []


def test_every_option_of_explore_is_in_the_page_on_the_interface() -> None:
    api = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    options = [
        name
        for name, parameter in inspect.signature(pfnlab.explore).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    ]

    assert options
    assert [name for name in options if f"| `{name}` |" not in api] == []


def test_every_field_of_the_report_is_in_the_page_on_json() -> None:
    page = (ROOT / "docs" / "json.md").read_text(encoding="utf-8")
    rows = [
        (design.name, zap_vs_fault.name, pfnlab.explore(zap_vs_fault, design))
        for design in (huge_fault.design, remap_on_fault.design)
    ]
    text = json.dumps(report_data("1", rows))
    fields = set(re.findall(r'"(\w+)": ', text)) - {"vcpu", "config"}  # tasks, in `held`

    assert {"findings", "trace", "call_trace", "race"} <= fields
    assert sorted(field for field in fields if f"`{field}`" not in page) == []


def test_every_departure_of_the_model_is_in_the_page_on_limits() -> None:
    sources = [path.read_text(encoding="utf-8") for path in generate.SOURCE.rglob("*.py")]

    assert generate.departures().count("\n- ") == sum(text.count("Model:") for text in sources)


def test_a_diff_that_does_not_fit_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text("one\ntwo\n", encoding="utf-8")

    generate.apply_diff("--- mine.py\n one\n-two\n+three\n")

    assert Path("mine.py").read_text(encoding="utf-8") == "one\nthree\n"
    with pytest.raises(ValueError, match="does not hold this exactly once"):
        generate.apply_diff("--- mine.py\n-two\n")
