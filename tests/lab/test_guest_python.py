"""A guest has the Python that a job needs, and nothing else of pfnlab."""

import json
import marshal
import re
import subprocess
from pathlib import Path

import pytest

from pfnlab.lab import guest_python as under_test
from pfnlab.lab.errors import LabError
from pfnlab.lab.guest_python import PACKAGE, guest_python, interpreter, own_files, own_modules
from pfnlab.lab.initrd import Entry

JOBS = ("pfnlab.host.job", "pfnlab.host.trace_job")
# Import what a guest is given, and print every file that this has taken.
IMPORT = """\
import sys, json, importlib
sys.path.insert(0, sys.argv[1])
for name in sys.argv[2:]:
    importlib.import_module(name)
print(json.dumps([m.__file__ for m in sys.modules.values() if getattr(m, "__file__", None)]))
"""


@pytest.fixture(scope="module")
def entries() -> dict[str, Entry]:
    return {entry.path: entry for entry in guest_python().entries}


def test_a_guest_gets_host_and_the_data_that_pass_and_no_more() -> None:
    names = own_modules()

    assert {"pfnlab.workload", "pfnlab.measured", "pfnlab.host", *JOBS} <= set(names)
    assert all(
        name.startswith(("pfnlab.host", "pfnlab.workload", "pfnlab.measured")) for name in names
    )
    assert own_files()["lab/agent.py"] == PACKAGE / "lab" / "inside" / "agent.py"


@pytest.mark.slow
def test_the_package_itself_is_empty_in_a_guest(entries: dict[str, Entry]) -> None:
    assert entries["lab/pfnlab/__init__.py"].data == b""
    assert entries[str(interpreter()).lstrip("/")].mode & 0o111


@pytest.mark.slow
def test_a_job_imports_nothing_that_a_guest_does_not_have(
    entries: dict[str, Entry], tmp_path: Path
) -> None:
    for name, entry in entries.items():
        if name.startswith("lab/"):
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(entry.data)
    command = [str(interpreter()), "-I", "-S", "-c", IMPORT, str(tmp_path / "lab"), *JOBS]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)

    files = json.loads(ran.stdout)
    own = {file for file in files if file.startswith(str(tmp_path))}
    assert str(tmp_path / "lab/pfnlab/host/job.pyc") in own
    assert str(tmp_path / "lab/dataclasses.pyc") in own
    needed = {re.sub(r"\.py$", ".pyc", file.lstrip("/")) for file in files if file not in own}
    assert needed <= set(entries)


@pytest.mark.slow
def test_modules_are_compiled_already(entries: dict[str, Entry]) -> None:
    compiled = entries["lab/pfnlab/host/job.pyc"].data

    assert [name for name in entries if name.endswith(".py")] == ["lab/pfnlab/__init__.py"]
    assert compiled[4:8] == b"\1\0\0\0"  # by the hash of the source, which is not looked at
    code = marshal.loads(compiled[16:])
    assert code.co_filename == "/lab/pfnlab/host/job.py"
    assert "run_job" in code.co_names


def test_a_python_that_lacks_a_module_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'Traceback\nImportError: no ctypes' >&2; exit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(under_test, "interpreter", lambda: python)

    with pytest.raises(
        LabError, match="does not import what a guest needs: ImportError: no ctypes"
    ):
        guest_python()
