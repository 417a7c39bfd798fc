"""Which flags a C compiler gets."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def recipe() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recipe", ROOT / "compile" / "core.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compiler(folder: Path, refused: str) -> str:
    """A C compiler that knows all flags but one."""
    path = folder / "cc"
    path.write_text(
        f'#!/bin/sh\ncase " $* " in *" {refused}"*) exit 1;; esac\nexec cc "$@"\n',
        encoding="utf-8",
    )
    path.chmod(0o755)
    return str(path)


@pytest.mark.slow
def test_a_compiler_that_cannot_inline_across_files_is_not_asked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = recipe()
    monkeypatch.setenv("CC", compiler(tmp_path, "-fno-such-flag"))
    assert core._try_compiler() == core.INLINE

    monkeypatch.setenv("CC", compiler(tmp_path, "-flto"))
    assert core._try_compiler() == []


@pytest.mark.slow
def test_a_compiler_that_fails_is_a_reason_not_to_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    core = recipe()
    monkeypatch.setenv("CC", "/bin/false")

    with pytest.raises(core.CannotCompileError, match="the C compiler does not work"):
        core._try_compiler()
