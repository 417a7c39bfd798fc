"""Page sizes and the levels of the page table.

x86-64 has 512 entries per table.  Checking uses 4, so that a handful of pages reaches
all three levels; cost uses the real number, and smaller tables to see how counts grow with
it.  An order is the name of a level: its value is x86's (0, 9, 18), and a shift by it
follows the geometry in use.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NoReturn

from pfnlab.engine.errors import ModelError

PAGE_SHIFT = 12
PAGE_SIZE = 1 << PAGE_SHIFT
KiB, MiB, GiB, TiB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
END_OF_PHYSICAL_ADDRESSES = 1 << 52  # of x86-64: __PHYSICAL_MASK_SHIFT


@dataclass(frozen=True)
class Geometry:
    """How many entries a table has, as a shift: 9 on x86-64.

    Tables of PMDs may be of another size than those of PTEs; no hardware has that.
    """

    table_shift: int
    pmd_table_shift: int | None = None
    shifts: tuple[int, int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        upper = self.table_shift if self.pmd_table_shift is None else self.pmd_table_shift
        object.__setattr__(self, "shifts", (0, self.table_shift, self.table_shift + upper))


CHECKING = Geometry(2)
REAL = Geometry(9)
_active = CHECKING


@contextmanager
def using(geometry: Geometry) -> Iterator[None]:
    """Use another geometry in a `with` block."""
    global _active
    before, _active = _active, geometry
    try:
        yield
    finally:
        _active = before


class Order(int):
    """A level of the page table.  Shift by it and compare it; nothing else makes sense."""

    level: int
    entry: str

    def __new__(cls, value: int, level: int, entry: str) -> "Order":
        order = super().__new__(cls, value)
        order.level = level
        order.entry = entry
        return order

    def __rlshift__(self, other: int, /) -> int:
        return other << _active.shifts[self.level]

    def __rrshift__(self, other: int, /) -> int:
        return other >> _active.shifts[self.level]

    def _no_arithmetic(self, _other: object) -> NoReturn:
        raise ModelError("an order is a level, not a number: write PAGE_SIZE << order")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _no_arithmetic

    def __repr__(self) -> str:
        return f"{self.entry.upper()}_ORDER"


PTE_ORDER = Order(0, 0, "pte")
PMD_ORDER = Order(9, 1, "pmd")
PUD_ORDER = Order(18, 2, "pud")
ORDERS = (PTE_ORDER, PMD_ORDER, PUD_ORDER)


def align_down(address: int, size: int) -> int:
    return address - address % size


def align_up(address: int, size: int) -> int:
    return -(-address // size) * size


def pmd_addr_end(addr: int, end: int) -> int:
    """The end of the PMD that holds addr, or `end` if that comes first."""
    return min(end, align_down(addr, PAGE_SIZE << PMD_ORDER) + (PAGE_SIZE << PMD_ORDER))


def pages(size: int) -> int:
    """Number of 4 KiB pages in a size, rounded up."""
    return -(-size >> PAGE_SHIFT)
