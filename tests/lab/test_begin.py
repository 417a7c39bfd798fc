"""Modules from one file are found and run as others are."""

import importlib
import marshal
import sys
from collections.abc import Iterator

import pytest

from pfnlab.lab.inside.begin import Code


def compiled(text: str) -> bytes:
    return marshal.dumps(compile(text, "made", "exec"))


@pytest.fixture
def _made(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    modules = {
        "made_up": (True, compiled("")),
        "made_up.part": (False, compiled("from .other import two\none = two - 1")),
        "made_up.other": (False, compiled("two = 2")),
    }
    monkeypatch.setattr(sys, "meta_path", [Code(modules), *sys.meta_path])
    yield
    for name in modules:
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("_made")
def test_modules_and_packages_are_imported() -> None:
    part = importlib.import_module("made_up.part")

    assert part.one == 1
    assert part.__package__ == "made_up"
    assert sys.modules["made_up"].__path__ == []


@pytest.mark.usefixtures("_made")
def test_what_is_not_there_is_left_to_others() -> None:
    assert importlib.import_module("colorsys").__file__
    with pytest.raises(ModuleNotFoundError, match="No module named"):
        importlib.import_module("made_up.missing")
