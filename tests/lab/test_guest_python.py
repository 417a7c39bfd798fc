"""A guest has the Python that a job needs, and nothing else of pfnlab."""

import json
import marshal
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pfnlab.lab import guest_python as under_test
from pfnlab.lab.errors import LabError
from pfnlab.lab.guest_python import (
    INSIDE,
    PACKAGE,
    STANDARD,
    guest_python,
    interpreter,
    light_modules,
    own_modules,
    recipe,
)
from pfnlab.lab.initrd import LINK, Entry
from pfnlab.lab.inside.light_functools import WHOLE
from pfnlab.lab.qemu import INIT_ARGUMENTS

JOBS = ("pfnlab.host.job", "pfnlab.host.trace_job")
# Import what a guest is given, and print every file that this has taken.
IMPORT = """\
import sys, marshal
sys.path.append(sys.argv[1])
from begin import Code
sys.meta_path.insert(0, Code(marshal.load(open(sys.argv[1] + "/code", "rb"))))
for name in sys.argv[2:]:
    __import__(name)
import json
print(json.dumps([m.__file__ for m in sys.modules.values() if getattr(m, "__file__", None)
                  if m.__spec__ and m.__spec__.origin != "frozen"]))
"""


@pytest.fixture(scope="module")
def entries() -> dict[str, Entry]:
    return {entry.path: entry for entry in guest_python()}


@pytest.fixture(scope="module")
def code(entries: dict[str, Entry]) -> dict[str, tuple[bool, bytes]]:
    found: dict[str, tuple[bool, bytes]] = marshal.loads(entries["lab/code"].data)
    return found


def test_a_guest_gets_host_and_the_data_that_pass_and_no_more() -> None:
    modules = own_modules()

    assert {"pfnlab.workload", "pfnlab.measured", "pfnlab.host", *JOBS} <= set(modules)
    inside = {name for name, path in modules.items() if path.is_relative_to(INSIDE)}
    light = set(light_modules()) - {WHOLE}
    assert light == (
        {"dataclasses", "functools", "json", "pathlib", "typing"}
        if sys.version_info < (3, 14)
        else set()
    )
    assert inside == {*light, "pfnlab.lab.inside.agent"}
    assert all(
        name.startswith(("pfnlab.host", "pfnlab.workload", "pfnlab.measured"))
        for name in set(modules) - inside - {WHOLE}
    )


def test_the_recipe_changes_with_each_module_that_is_packed() -> None:
    texts = set(recipe())

    assert all(path.read_bytes() in texts for path in own_modules().values())
    assert (PACKAGE / "lab" / "inside" / "begin.py").read_bytes() in texts


@pytest.mark.slow
def test_the_package_itself_is_empty_in_a_guest(
    entries: dict[str, Entry], code: dict[str, tuple[bool, bytes]]
) -> None:
    is_package, text = code["pfnlab"]

    assert is_package
    assert marshal.loads(text).co_names == ()
    assert entries[str(interpreter()).lstrip("/")].mode & 0o111


@pytest.mark.slow
def test_a_job_imports_nothing_that_a_guest_does_not_have(
    entries: dict[str, Entry], tmp_path: Path
) -> None:
    for name in ("begin.pyc", "code"):
        (tmp_path / name).write_bytes(entries[f"lab/{name}"].data)
    agent = "pfnlab.lab.inside.agent"
    program = tmp_path / "imports.py"
    program.write_text(IMPORT)
    command = [str(interpreter()), "-I", "-S", str(program), str(tmp_path), agent, *JOBS, *STANDARD]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)

    files = set(json.loads(ran.stdout)) - {str(tmp_path / "begin.pyc")}
    assert any("_ctypes" in file for file in files)
    needed = {re.sub(r"\.py$", ".pyc", file.lstrip("/")) for file in files}
    assert needed <= set(entries)


@pytest.mark.slow
def test_modules_are_compiled_already(
    entries: dict[str, Entry], code: dict[str, tuple[bool, bytes]]
) -> None:
    begin = entries["lab/begin.pyc"].data
    job = marshal.loads(code["pfnlab.host.job"][1])

    assert not [name for name in entries if name.endswith(".py")]
    assert begin[4:8] == b"\1\0\0\0"  # by the hash of the source, which is not looked at
    assert "main" in marshal.loads(begin[16:]).co_names
    assert job.co_filename == "pfnlab/host/job.py"
    assert "run_job" in job.co_names


@pytest.mark.slow
def test_the_first_process_is_the_interpreter(entries: dict[str, Entry]) -> None:
    init = entries["init"]

    assert (init.mode, init.data.decode()) == (LINK, str(interpreter()))
    assert INIT_ARGUMENTS.removeprefix("-- -IS /") in entries


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
