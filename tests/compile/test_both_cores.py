"""The compiled core and the interpreted one give the same; and the right one is chosen."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pfnlab import core

ROOT = Path(__file__).resolve().parents[2]


def run(*arguments: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *python, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def results(*python: str) -> dict[str, Any]:
    answer = run("-m", "tests.compile.both_cores", python=python)
    assert answer.stderr == ""
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


@pytest.mark.slow
def test_both_cores_make_the_same_schedules_and_find_the_same() -> None:
    if core.why_not():
        pytest.skip(core.description())

    compiled, interpreted = results(), results("-X", "pfnlab=interpreted")

    assert (compiled["core"], interpreted["core"]) == (
        "compiled core",
        "interpreted core: asked for with -X pfnlab=interpreted",
    )
    assert compiled["results"] == interpreted["results"]
    assert len(compiled["results"]) > 50


def package(folder: Path) -> Path:
    """A copy of the sources that the core is made from."""
    place = folder / "pfnlab"
    for path in {*core.CORE, *(f"engine/{path.name}" for path in core.PACKAGE.glob("engine/*.py"))}:
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(core.PACKAGE / path, place / path)
    return place


def compiled(folder: Path, sources: str, why_not: str = "") -> Path:
    place = folder / "compiled"
    place.mkdir()
    record = {"sources": sources, "why_not": why_not}
    (place / core.RECORD).write_text(json.dumps(record), encoding="utf-8")
    if not why_not:
        (place / core.BINARY).touch()
    return place


@pytest.fixture
def as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys._xoptions, "pfnlab", raising=False)


@pytest.mark.usefixtures("as_usual")
def test_a_binary_of_the_sources_as_they_are_is_used(tmp_path: Path) -> None:
    sources = package(tmp_path)
    binary = compiled(tmp_path, core.digest(sources))

    assert core.why_interpreted(binary, sources) == ""


@pytest.mark.usefixtures("as_usual")
@pytest.mark.parametrize("changed", ["explorer/trie.py", "engine/label.py", "engine/mutex.py"])
def test_a_source_that_was_edited_is_never_hidden_by_the_binary(
    tmp_path: Path, changed: str
) -> None:
    sources = package(tmp_path)
    binary = compiled(tmp_path, core.digest(sources))
    with (sources / changed).open("a", encoding="utf-8") as file:
        file.write("# edited\n")

    assert core.why_interpreted(binary, sources) == core.STALE


@pytest.mark.usefixtures("as_usual")
def test_the_record_says_why_there_is_no_binary(tmp_path: Path) -> None:
    place = compiled(tmp_path, "", "no C compiler when it was installed")

    assert core.why_interpreted(place) == "no C compiler when it was installed"


@pytest.mark.usefixtures("as_usual")
def test_a_folder_without_a_record_was_never_compiled(tmp_path: Path) -> None:
    assert core.why_interpreted(tmp_path) == "not compiled for this Python"


@pytest.mark.usefixtures("as_usual")
def test_a_binary_that_is_gone_is_not_used(tmp_path: Path) -> None:
    sources = package(tmp_path)
    binary = compiled(tmp_path, core.digest(sources))
    (binary / core.BINARY).unlink()

    assert core.why_interpreted(binary, sources) == "the compiled files are gone"
