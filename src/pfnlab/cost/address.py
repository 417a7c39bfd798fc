"""Where a window is mapped: the address that gives the most, and the one the kernel picks."""

from pfnlab.cost.tables import PUD_TABLE
from pfnlab.engine.errors import ModelError
from pfnlab.kernel.geometry import PAGE_SIZE, GiB, MiB, align_down
from pfnlab.kernel.profile import Kernel

MMAP_BASE = 0x7F0000000000
END_OF_USER_SPACE = (1 << 47) - PAGE_SIZE  # TASK_SIZE_MAX of x86-64 with four levels
# Where the free range below the libraries of a process ends: anything, but no multiple of 2 MiB.
FREE_END = 0x7FACD7DC3000


def best_address(size: int, offset: int = 0, bar_address: int = 0) -> int:
    """An address for mmap(MAP_FIXED) of part of a BAR at which its leaves are the largest.

    `size`, `offset` in the BAR and the physical `bar_address` are in bytes.  Without
    bar_address the BAR is taken to be aligned to 1 GiB, as one of that size or more is.

    Address and physical address agree modulo 1 GiB if the window holds a whole 1 GiB of
    them; else modulo 2 MiB, and the window crosses no more multiples of 1 GiB than it must.
    What is larger than 1 TiB begins further down, so that it ends where user space does.
    """
    for what, value in (("size", size), ("offset", offset), ("bar_address", bar_address)):
        if not hasattr(value, "__index__"):
            raise ModelError(f"{what} {value!r} is no number of bytes, as 4 * MiB or 0x600000")
    if size <= 0 or offset < 0 or bar_address < 0 or (size | offset | bar_address) % PAGE_SIZE:
        raise ModelError("size, offset and bar_address must be multiples of 4 KiB, size above 0")
    low = best_modulo_gib(size, bar_address + offset)
    address = min(MMAP_BASE, align_down(END_OF_USER_SPACE - size - low, PUD_TABLE)) + low
    check_user_space(address, size)
    return address


def best_modulo_gib(size: int, physical: int) -> int:
    for leaf, table in ((GiB, 0), (2 * MiB, GiB)):
        if -(-physical // leaf) * leaf + leaf <= physical + size:
            aligned = physical % leaf
            crosses = table and physical % table + size > table
            return physical % table if table and not crosses else aligned
    return 0


def check_user_space(address: int, size: int) -> None:
    """Whether a process can have a mapping there."""
    if address < PAGE_SIZE or address + size > END_OF_USER_SPACE:
        where = "" if address < PAGE_SIZE else f" at {address:#x}"
        raise ModelError(
            f"a mapping of {size:#x} bytes{where} does not lie between {PAGE_SIZE:#x} and "
            f"{END_OF_USER_SPACE:#x}, where user space does"
        )


def natural_address(size: int, offset: int, kernel: Kernel) -> int:
    """Where mmap() without an address may put a window, top down.

    The place is an example; how it is aligned is what the kernel does.
    """
    if kernel.mmap_by_pmd and size % (2 * MiB) == 0:
        start = FREE_END - size - 2 * MiB
        return start + (offset - start) % (2 * MiB)
    return FREE_END - size
