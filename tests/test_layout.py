"""What the tree itself must look like."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "pfnlab"
LONGEST_MODULE = 400
NO_SUBJECT = {"utils", "util", "common", "helpers", "helper"}

# The needles are built from pieces, so that this file does not match itself.
MACHINE_PATH = r"(?<![\w.*}])/(?:" + "|".join(["work", "tmp", "root", "home", "opt"]) + r")\b"
REGISTRY_HOST = "|".join(["python" + "hosted", "pypi" + r"\.", "debian" + r"\.org", "npm" + "js"])


def files_of_the_tree() -> list[Path]:
    """What is committed, or would be by `git add .`."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout: cannot tell which files belong to the tree")
    paths = (ROOT / name for name in listing.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def lines_that_match(pattern: str) -> list[str]:
    found = []
    for path in files_of_the_tree():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if re.search(pattern, line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    return found


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in SOURCE.rglob("*.py")
    }

    assert lengths
    assert {path: n for path, n in lengths.items() if n > LONGEST_MODULE} == {}


def test_every_file_is_named_for_a_subject() -> None:
    nameless = [
        str(path.relative_to(ROOT))
        for top in ("src", "tests")
        for path in (ROOT / top).rglob("*")
        if path.stem.removeprefix("test_") in NO_SUBJECT
    ]

    assert nameless == []


def test_no_file_names_a_path_of_the_machine_it_was_written_on() -> None:
    assert lines_that_match(MACHINE_PATH) == []


def test_no_file_names_a_registry_host() -> None:
    assert lines_that_match(REGISTRY_HOST) == []


@pytest.mark.parametrize("path", ["/" + "work/main", "see /" + "tmp/x.py", '"/' + 'root"'])
def test_a_machine_path_is_recognised(path: str) -> None:
    assert re.search(MACHINE_PATH, path)


@pytest.mark.parametrize("path", ["src/pfnlab/workload.py", "sysfs/root", "tests/tmp_path"])
def test_a_path_inside_the_tree_is_no_machine_path(path: str) -> None:
    assert not re.search(MACHINE_PATH, path)
