"""Where a window is mapped: the address that gives the most, and the one the kernel picks."""

from pfnlab.engine.errors import ModelError
from pfnlab.kernel.geometry import PAGE_SIZE, GiB, MiB
from pfnlab.kernel.profile import Kernel

MMAP_BASE = 0x7F0000000000
# Where the free range below the libraries of a process ends: anything, but no multiple of 2 MiB.
FREE_END = 0x7FACD7DC3000


def best_address(size: int, offset: int = 0, bar_address: int = 0) -> int:
    """An address for mmap(MAP_FIXED) of part of a BAR at which its leaves are the largest.

    `size`, `offset` in the BAR and the physical `bar_address` are in bytes.  Without
    bar_address the BAR is taken to be aligned to 1 GiB, as one of that size or more is.

    Address and physical address agree modulo 1 GiB if the window holds a whole 1 GiB of
    them; else modulo 2 MiB, and the window crosses no more multiples of 1 GiB than it must.
    """
    if size <= 0 or offset < 0 or bar_address < 0 or (size | offset | bar_address) % PAGE_SIZE:
        raise ModelError("size, offset and bar_address must be multiples of 4 KiB, size above 0")
    physical = bar_address + offset
    for leaf, table in ((GiB, 0), (2 * MiB, GiB)):
        if -(-physical // leaf) * leaf + leaf <= physical + size:
            aligned = physical % leaf
            crosses = table and physical % table + size > table
            return MMAP_BASE + (physical % table if table and not crosses else aligned)
    return MMAP_BASE


def natural_address(size: int, offset: int, kernel: Kernel) -> int:
    """Where mmap() without an address may put a window, top down.

    The place is an example; how it is aligned is what the kernel does.
    """
    if kernel.mmap_by_pmd and size % (2 * MiB) == 0:
        start = FREE_END - size - 2 * MiB
        return start + (offset - start) % (2 * MiB)
    return FREE_END - size
