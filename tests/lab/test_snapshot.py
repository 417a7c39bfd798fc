"""Which snapshot a guest starts from, and which are kept."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pfnlab.lab.files import locked
from pfnlab.lab.qemu import Machine
from pfnlab.lab.snapshot import KEPT, remove_old, snapshot_name

RELEASE = "6.12.9-amd64"
MACHINE = Machine(Path("/c/vmlinux/aa"), Path("/c/initrd/bb.cpio"))


def qemu(folder: Path, version: str) -> str:
    program = folder / f"qemu-{version}"
    program.write_text(f"#!/bin/sh\necho 'QEMU emulator version {version}'\n")
    program.chmod(0o755)
    return str(program)


def test_the_same_guest_starts_from_the_same_snapshot(tmp_path: Path) -> None:
    program = qemu(tmp_path, "7.2.22")
    moved = replace(MACHINE, kernel=Path("/d/aa"), initrd=Path("/d/bb.cpio"))

    name = snapshot_name(program, MACHINE, RELEASE)

    assert name.startswith(f"{RELEASE}-")
    assert snapshot_name(program, moved, RELEASE) == name


@pytest.mark.parametrize(
    "change",
    [
        {"kernel": Path("/c/vmlinux/cc")},
        {"initrd": Path("/c/initrd/dd.cpio")},
        {"accelerator": "kvm"},
        {"cpus": 2},
        {"memory": 2 << 30},
        {"append": "nokaslr"},
    ],
)
def test_another_guest_has_another_snapshot(tmp_path: Path, change: dict[str, Any]) -> None:
    program = qemu(tmp_path, "7.2.22")

    other = snapshot_name(program, replace(MACHINE, **change), RELEASE)

    assert other != snapshot_name(program, MACHINE, RELEASE)


def test_another_qemu_has_another_snapshot(tmp_path: Path) -> None:
    names = {snapshot_name(qemu(tmp_path, each), MACHINE, RELEASE) for each in ("7.2.22", "8.0.0")}

    assert len(names) == 2


def test_the_latest_used_snapshots_of_a_kernel_are_kept(tmp_path: Path) -> None:
    folders = [tmp_path / f"{RELEASE}-{number}" for number in range(KEPT + 2)]
    others = [tmp_path / "6.1.0-56-amd64-0", tmp_path / f"{RELEASE}-9.part"]
    for used, folder in enumerate([*others, *folders]):
        folder.mkdir()
        (folder / "ram").touch()
        os.utime(folder, (used, used))

    remove_old(folders[-1], RELEASE)

    assert {path for path in tmp_path.iterdir() if path.is_dir()} == {*others, *folders[2:]}


def test_a_snapshot_from_which_somebody_starts_is_kept(tmp_path: Path) -> None:
    folders = [tmp_path / f"{RELEASE}-{number}" for number in range(KEPT + 2)]
    for used, folder in enumerate(folders):
        folder.mkdir()
        os.utime(folder, (used, used))

    with locked(Path(f"{folders[0]}.lock"), shared=True):
        remove_old(folders[-1], RELEASE)

    assert folders[0].exists()
    assert not folders[1].exists()


def test_the_newest_snapshot_is_kept_whatever_its_time(tmp_path: Path) -> None:
    folders = [tmp_path / f"{RELEASE}-{number}" for number in range(KEPT + 1)]
    for used, folder in enumerate(folders):
        folder.mkdir()
        os.utime(folder, (used, used))

    remove_old(folders[0], RELEASE)

    assert {path for path in tmp_path.iterdir() if path.is_dir()} == set(folders)
