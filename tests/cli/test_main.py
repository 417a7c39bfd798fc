"""The package as a command."""

import subprocess
import sys


def test_python_m_pfnlab_is_the_command() -> None:
    def said(*arguments: str) -> tuple[int, str]:
        ran = subprocess.run(
            [sys.executable, "-m", "pfnlab", *arguments],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return ran.returncode, ran.stdout + ran.stderr

    assert said("--version")[1].startswith("pfnlab ")
    assert said("check", "no_such_design")[0] == 2
