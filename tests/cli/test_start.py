"""What a command imports before it begins."""

import subprocess
import sys

import pytest

from pfnlab import core

MODEL = ("pfnlab.engine", "pfnlab.kernel", "pfnlab.explorer", "pfnlab.designs", core.LIBRARY)
IMPORTED = "import sys, pfnlab.cli.{}; print(*sorted(sys.modules))"


@pytest.mark.parametrize("command", ["lab_group", "measure"])
def test_what_measures_starts_without_the_model(command: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", IMPORTED.format(command)], capture_output=True, text=True, check=True
    )
    assert not [name for name in ran.stdout.split() if name.startswith(MODEL)]


def test_the_interface_is_there_when_it_is_asked_for() -> None:
    code = "import pfnlab; [getattr(pfnlab, name) for name in dir(pfnlab)]; print(pfnlab.Design)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pfnlab.kernel.design.Design" in ran.stdout
