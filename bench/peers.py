"""Other checkers, installed for one run of the benchmark into a folder that is then gone.

frontrun and minicheck come from the package index, into a venv.  SPIN is taken from the path,
or else its Debian package is unpacked into the folder, which changes nothing on the machine.
nidhugg and GenMC are named if they are there; they read C, and no program here is written in
it yet.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from bench.promela import promela

HERE = Path(__file__).resolve().parent
PYTHON_PEERS = ("frontrun", "minicheck")
BY_NAME_ONLY = ("nidhugg", "genmc")


class Peers:
    """What could be installed, and how it is run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        self.spin: str | None = None
        self.found: dict[str, str] = {}  # name to version
        self.absent: list[str] = []
        self._install_python()
        self._find_spin()
        self.absent += [name for name in BY_NAME_ONLY if shutil.which(name) is None]

    def _install_python(self) -> None:
        subprocess.run([sys.executable, "-m", "venv", self.folder / "venv"], check=True)
        for name in PYTHON_PEERS:
            pip = [self.python, "-m", "pip"]
            done = subprocess.run([*pip, "install", "-q", name], capture_output=True, check=False)
            shown = subprocess.run(
                [*pip, "show", name], capture_output=True, text=True, check=False
            ).stdout
            if done.returncode:
                self.absent.append(name)
            else:
                self.found[name] = shown.split("Version: ")[1].split("\n")[0]

    def _find_spin(self) -> None:
        self.spin = shutil.which("spin")
        if self.spin is None and shutil.which("apt-get") and shutil.which("dpkg"):
            place = self.folder / "spin"
            place.mkdir()
            got = subprocess.run(
                ["apt-get", "download", "spin"], cwd=place, capture_output=True, check=False
            )
            packages = list(place.glob("spin_*.deb"))
            if not got.returncode and packages:
                subprocess.run(["dpkg", "-x", packages[0], place], check=True)
                self.spin = str(place / "usr" / "bin" / "spin")
        if self.spin is None or shutil.which("cc") is None:
            self.absent.append("SPIN")
            return
        said = subprocess.run([self.spin, "-V"], capture_output=True, text=True, check=False)
        self.found["SPIN"] = said.stdout.split()[2]

    def command(self, name: str, program: str) -> list[str] | None:
        """What runs a program from its text to the verdict, or None."""
        if name not in self.found:
            return None
        script = str(HERE / f"peer_{name}.py")
        if name == "minicheck":
            return [str(self.python), script, program]
        if name == "frontrun":
            return [str(self.python.parent / "frontrun"), str(self.python), script, program]
        text = promela(program)
        if text is None:
            return None
        place = self.folder / f"spin-{program}"
        place.mkdir(exist_ok=True)
        (place / "model.pml").write_text(text, encoding="utf-8")
        # Every state, as we run every trace, and not up to the first error.
        steps = f"'{self.spin}' -a model.pml && cc -O2 -w -o pan pan.c && ./pan -n -c0 -m100000"
        return ["sh", "-c", f"cd '{place}' && {steps}"]
