"""A blob of a few types, written by hand."""

import struct
from pathlib import Path

import pytest

from pfnlab.host.btf import HEADER, MAGIC, Btf, vmlinux
from pfnlab.host.errors import HostError

INT, ARRAY, STRUCT, UNION, ENUM, TYPEDEF, CONST = 1, 3, 4, 5, 6, 8, 10
Type = tuple[int, ...]


class Blob:
    """Types in the order in which they are added, from id `first` on."""

    def __init__(self, first_string: int = 0) -> None:
        self.first_string = first_string
        self.strings = b"" if first_string else b"\0"
        self.types = b""

    def name(self, text: str) -> int:
        if not text:
            return 0
        self.strings += text.encode() + b"\0"
        return self.first_string + len(self.strings) - len(text) - 1

    def add(self, name: str, kind: int, entries: int, size: int, *words: int, flag: int = 0):
        info = flag << 31 | kind << 24 | entries
        self.types += struct.pack(f"=3I{len(words)}I", self.name(name), info, size, *words)

    def data(self) -> bytes:
        header = HEADER.pack(
            MAGIC, 1, 0, HEADER.size, 0, len(self.types), len(self.types), len(self.strings)
        )
        return header + self.types + self.strings


def kernel() -> Blob:
    blob = Blob()
    blob.add("int", INT, 0, 4, 32)  # 1
    blob.add("", ARRAY, 0, 0, 1, 1, 8)  # 2
    blob.add("kind", ENUM, 1, 4, blob.name("FIRST"), 0)  # 3
    blob.add("inner", STRUCT, 2, 8, blob.name("a"), 1, 0, blob.name("b"), 1, 32)  # 4
    blob.add("inner_t", TYPEDEF, 0, 4)  # 5
    blob.add("", CONST, 0, 5)  # 6
    blob.add("", UNION, 1, 8, blob.name("hidden"), 6, 0)  # 7
    blob.add(
        "outer", STRUCT, 3, 48, blob.name("first"), 2, 0, 0, 7, 32 * 8, blob.name("last"), 1,
        3 << 24 | 40 * 8, flag=1,
    )  # 8  # fmt: skip
    return blob


def test_members_have_their_offsets() -> None:
    btf = Btf(kernel().data())

    assert (btf.offset("outer.first"), btf.offset("inner.b")) == (0, 4)


def test_a_bitfield_is_where_its_bits_begin() -> None:
    assert Btf(kernel().data()).offset("outer.last") == 40


def test_anonymous_members_and_typedefs_are_looked_into() -> None:
    assert Btf(kernel().data()).offset("outer.hidden.b") == 36


@pytest.mark.parametrize("path", ["outer.nothing", "nothing.first", "outer.first.a", "int.x"])
def test_a_member_that_is_not_there_is_an_error(path: str) -> None:
    with pytest.raises(HostError, match=f"this kernel has no {path}"):
        Btf(kernel().data()).offset(path)


def test_a_module_goes_on_where_vmlinux_ends() -> None:
    base = kernel()
    module = Blob(first_string=len(base.strings))
    module.add("device", STRUCT, 2, 56, module.name("core"), 8, 64, module.name("x"), 1, 0)  # 9
    btf = Btf(module.data(), Btf(base.data()))

    assert btf.offset("device.core.hidden.b") == 8 + 36
    assert btf.offset("inner.b") == 4


def test_what_is_no_btf_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no BTF"):
        Btf(b"ELF")
    with pytest.raises(HostError, match="cannot read"):
        vmlinux(tmp_path / "none")
