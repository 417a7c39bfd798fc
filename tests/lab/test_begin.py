"""Modules from one file are found and run as others are."""

import importlib
import marshal
import sys
from collections.abc import Iterator

import pytest

from pfnlab.lab.inside import begin
from pfnlab.lab.inside.begin import Code
from pfnlab.lab.modules import load_order
from tests.lab.conftest import FindKernel


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


def test_a_module_ends_where_its_signature_begins() -> None:
    signature = b"s" * 300
    tail = signature + bytes(8) + len(signature).to_bytes(4, "big") + begin.SIGNED

    assert begin.unsigned(b"module" + tail) == len(b"module")
    assert begin.unsigned(b"module") == len(b"module")


@pytest.mark.lab
@pytest.mark.slow
def test_of_a_real_module_nothing_but_its_signature_is_left_out(real_kernel: FindKernel) -> None:
    kernel = real_kernel("6.1")
    assert kernel.modules is not None
    modules = load_order(kernel.modules, ["vfio-pci"])

    assert modules
    for module in modules:
        left_out = module.data[begin.unsigned(module.data) :]
        assert left_out[0] == 0x30  # a PKCS #7 message is a sequence
        assert left_out.count(begin.SIGNED) == 1
