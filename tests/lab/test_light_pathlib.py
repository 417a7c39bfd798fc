"""Paths of a guest do what those of Python do, and have all that host/ asks of them."""

import ast
import pathlib
from typing import Any

import pytest

from pfnlab.lab.guest_python import PACKAGE
from pfnlab.lab.inside import light_pathlib

# What runs in no guest may ask for more.
ELSEWHERE = ("doctor.py",)


@pytest.mark.parametrize("module", [pathlib, light_pathlib])
def test_a_path_is_put_together_and_taken_apart(module: Any) -> None:
    path = module.Path("/") / "sys/module" / "vfio-pci.ko.xz"

    assert (str(path), path.name, path.suffix) == (
        "/sys/module/vfio-pci.ko.xz", "vfio-pci.ko.xz", ".xz",
    )  # fmt: skip
    assert path.parent == module.Path("/sys/module")
    assert module.Path("/sys") / path == path


@pytest.mark.parametrize("module", [pathlib, light_pathlib])
def test_files_and_folders_are_made_and_read(module: Any, tmp_path: pathlib.Path) -> None:
    folder = module.Path(str(tmp_path)) / "folder"
    folder.mkdir()
    with (folder / "file").open("wb", buffering=0) as file:
        file.write(b"text\xff")
    (tmp_path / "folder" / "link").symlink_to("/to/somewhere")

    assert sorted(path.name for path in folder.iterdir()) == ["file", "link"]
    assert (folder / "file").read_bytes() == b"text\xff"
    assert (folder / "file").read_text(encoding="utf-8", errors="replace") == "text\ufffd"
    assert (folder / "link").readlink().name == "somewhere"
    assert not (folder / "none").exists()
    with pytest.raises(FileNotFoundError):
        (folder / "none").read_bytes()
    with pytest.raises(OSError, match="not empty"):
        folder.rmdir()


def test_host_asks_a_path_for_nothing_that_it_does_not_have() -> None:
    theirs = {name for name in dir(pathlib.Path) if not name.startswith("_")}
    asked = {
        node.attr
        for path in (PACKAGE / "host").glob("*.py")
        if path.name not in ELSEWHERE
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
    }

    # Of lists, devices, expressions, fields of steps, workloads.
    of_others = {"copy", "group", "match", "move", "touch"}
    assert asked & theirs - set(dir(light_pathlib.Path)) <= of_others
