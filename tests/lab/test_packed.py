"""An initrd is packed once for each kernel, and again when what is in it has changed."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from pfnlab.host.levels import MEMBERS
from pfnlab.lab import packed
from pfnlab.lab.initrd import Entry
from pfnlab.lab.kernels import KernelImage
from pfnlab.lab.packed import KEPT, packed_initrd
from tests.host.test_btf import INT, STRUCT, Blob


@pytest.fixture(autouse=True)
def _python(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python that is made up."""
    monkeypatch.setattr(packed, "guest_python", lambda: [Entry("python", b"the interpreter")])


def kernel(folder: Path, name: str = "vmlinux") -> KernelImage:
    (folder / name).write_bytes(b"kernel")
    return KernelImage(folder / name, None, "6.12.9", "6.12.9")


def initrd(a_kernel: KernelImage) -> Path:
    return packed_initrd(a_kernel, a_kernel.image, a_kernel.image.parent)


def test_an_initrd_is_packed_once(tmp_path: Path) -> None:
    a_kernel = kernel(tmp_path)

    made = initrd(a_kernel)

    assert b"the interpreter" in made.read_bytes()
    made.write_bytes(b"not packed again")
    assert initrd(a_kernel) == made
    assert made.read_bytes() == b"not packed again"


def test_a_kernel_that_has_changed_makes_another_initrd(tmp_path: Path) -> None:
    a_kernel = kernel(tmp_path)
    before = initrd(a_kernel)

    os.utime(a_kernel.image, (1, 1))

    assert initrd(a_kernel) != before


def test_another_recipe_makes_another_initrd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_kernel = kernel(tmp_path)
    before = initrd(a_kernel)

    monkeypatch.setattr(packed, "recipe", lambda: [b"new"])

    assert initrd(a_kernel) != before


def test_initrds_that_were_not_used_for_the_longest_are_removed(tmp_path: Path) -> None:
    made = []
    for number in range(KEPT):
        made.append(initrd(kernel(tmp_path, str(number))))
        os.utime(made[-1], (number, number))

    last = initrd(kernel(tmp_path, "last"))

    assert set((tmp_path / "initrd").iterdir()) == {*made[1:], last}


def test_a_guest_is_told_where_members_of_structs_are(tmp_path: Path) -> None:
    members = [member.split(".") for member in MEMBERS]
    blob = Blob()
    blob.add("int", INT, 0, 8, 64)
    for struct in dict.fromkeys(struct for struct, _member in members):
        words = [(blob.name(member), 1, 64) for owner, member in members if owner == struct]
        blob.add(struct, STRUCT, len(words), 64, *(word for member in words for word in member))
    a_kernel = kernel(tmp_path)
    a_kernel.image.write_bytes(b"kernel" + blob.data())

    assert json.dumps(dict.fromkeys(MEMBERS, 8)).encode() in initrd(a_kernel).read_bytes()


def test_a_guest_is_told_the_design_of_the_module_that_it_loads(tmp_path: Path) -> None:
    symbols = b"\0vfio_pci_mmap_huge_fault\0vfio_pci_core_mmap\0"
    folder = tmp_path / "modules" / "kernel" / "drivers" / "vfio" / "pci"
    folder.mkdir(parents=True)
    (folder / "vfio-pci-core.ko").write_bytes(b"\x7fELF" + symbols)
    (folder / "vfio-pci.ko").write_bytes(b"\x7fELF\0depends=vfio-pci-core\0")
    a_kernel = replace(kernel(tmp_path), modules=tmp_path / "modules")

    assert b'"design": "huge_fault"' in initrd(a_kernel).read_bytes()
