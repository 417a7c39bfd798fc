"""Entries that are alike are counted up to the first that is not."""

import ctypes
import os
import struct

import pytest

from pfnlab.host import alike as under_test

PAGE = 4096
P, AD = 0x1, 0x60
BAR = 0x380000000000
MASK = 2**64 - 1 & ~AD

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="x86-64 machine code")


def alike(data: bytes, offset: int, *more: int) -> int:
    held = ctypes.create_string_buffer(data, len(data))
    return under_test.alike(ctypes.addressof(held) + offset, *more)


def tables(pages: list[int], *, downwards: bool = False) -> bytes:
    rows = [struct.pack("=512Q", *pages[at : at + 512]) for at in range(0, len(pages), 512)]
    return b"".join(rows[::-1] if downwards else rows)


def ascending(count: int) -> list[int]:
    return [BAR + index * PAGE | P | (AD if index % 5 else 0) for index in range(count)]


@pytest.mark.parametrize(("downwards", "first", "jump"), [(False, 0, 0), (True, 3, -2 * PAGE)])
def test_tables_are_followed_up_or_down(downwards: bool, first: int, jump: int) -> None:
    pages = ascending(4 * 512)

    def count(pages: list[int]) -> int:
        data = tables(pages, downwards=downwards)
        return alike(data, first * PAGE, len(pages), PAGE, MASK, jump)

    assert count(pages) == 2048
    for changed in (1, 511, 512, 700, 2047):
        for wrong in (0, pages[changed] + PAGE, pages[changed] | 2, pages[changed] ^ P):
            assert count([*pages[:changed], wrong, *pages[changed + 1 :]]) == changed


def test_counting_begins_and_ends_where_it_is_told() -> None:
    data = tables([*ascending(500), *(0,) * 12])

    assert alike(data, 8 * 100, 300, PAGE, MASK) == 300
    assert alike(data, 8 * 100, 412, PAGE, MASK) == 400
    assert alike(data, 8 * 500, 12, 0, P) == 12
    assert alike(data, 8 * 511, 1, PAGE, MASK) == 1


@pytest.mark.parametrize("changed", range(1, 20))
def test_the_first_that_is_not_alike_is_found_wherever_it_is(changed: int) -> None:
    pages = ascending(512)
    pages[changed] ^= 1 << 63

    for count in range(1, 30):
        assert alike(tables(pages), 0, count, PAGE, MASK) == min(changed, count)


def test_only_the_bits_of_the_mask_are_compared() -> None:
    swapped_out = tables([0, 0x7E, 0xFFFFFF00, *(P,) * 509])

    assert alike(swapped_out, 0, 512, 0, P) == 3
    assert alike(swapped_out, 0, 512, 0, 2**64 - 1) == 1


def test_on_another_cpu_each_entry_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(under_test, "machine_code", lambda: None)

    assert alike(tables(ascending(512)), 0, 512, PAGE, MASK) == 1
