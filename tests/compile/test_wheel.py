"""The wheel: built and installed as a user would, with a C compiler and without.

These need the network, as every install does.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pfnlab
from pfnlab import core

ROOT = Path(__file__).resolve().parents[2]
# A path to a compiler that always fails; the environment is how compilers are chosen.
BROKEN = {"CC": "/bin/false"}
CHECK = ("check", "remap_on_fault_unchecked", "two_faults")


def pip(*arguments: object, environment: dict[str, str] | None = None) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "-q",
        "--disable-pip-version-check",
        *map(str, arguments),
    ]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | (environment or {}), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def build(folder: Path, *options: str, environment: dict[str, str] | None = None) -> Path:
    pip("wheel", "--no-deps", "-w", folder, *options, ".", environment=environment)
    (wheel,) = folder.glob("*.whl")
    return wheel


def installed(folder: Path, wheel: Path) -> Path:
    """The command in a new environment that has nothing but the wheel and what it needs."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    pip("--python", python, "install", "-c", ROOT / "constraints.txt", wheel)
    return folder / "bin" / "pfnlab"


def run(command: Path, *arguments: str) -> str:
    answer = subprocess.run(
        [command, *arguments], cwd=command.parent, capture_output=True, text=True, check=False
    )
    assert answer.stderr == ""
    return answer.stdout


@pytest.mark.slow
@pytest.mark.skipif(core.why_not() != "", reason=core.description())
def test_the_wheel_has_a_compiled_core_and_without_a_compiler_the_same_interpreted(
    tmp_path: Path,
) -> None:
    wheel = build(tmp_path / "compiled")
    plain = build(tmp_path / "interpreted", environment=BROKEN)
    compiled = installed(tmp_path / "with", wheel)
    interpreted = installed(tmp_path / "without", plain)

    assert "none-any" not in wheel.name
    assert plain.name.endswith("-py3-none-any.whl")
    assert run(compiled, "--version") == f"pfnlab {pfnlab.__version__} (compiled core)\n"
    assert run(interpreted, "--version") == (
        f"pfnlab {pfnlab.__version__} (interpreted core: the C compiler does not work (false))\n"
    )
    assert run(compiled, *CHECK) == run(interpreted, *CHECK)


@pytest.mark.slow
def test_an_install_can_be_asked_not_to_compile(tmp_path: Path) -> None:
    wheel = build(tmp_path / "wheel", "-C", "compile=no")

    assert run(installed(tmp_path / "venv", wheel), "--version") == (
        f"pfnlab {pfnlab.__version__} (interpreted core: it was installed without compiling)\n"
    )
