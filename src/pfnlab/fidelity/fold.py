"""A small geometry in which every address of a trace keeps its place.

A BAR of 4 GiB has a million pages, and a trace speaks of a few.  Each entry of a table that
has an address of the trace in it is kept; entries between two of those become one.  So what is
in one PTE, PMD or PUD in the trace is so in the model, and a leaf that fits there fits here.
"""

from collections.abc import Iterable

from pfnlab.fidelity.actions import PAGE, Mmap
from pfnlab.kernel.geometry import Geometry

PMD, PUD = 1 << 9, 1 << 18  # pages, on x86-64
FOLDED_ADDRESS = 0x7F0000000000
FOLDED_BAR = 0x380000000000  # aligned to every table


class Fold:
    """Maps addresses, and pfns of the BAR, to those of the model."""

    def __init__(self, mmaps: list[Mmap], addresses: Iterable[int], bar_pfn: int) -> None:
        self.mmaps = mmaps
        self.bar_pfn = bar_pfn
        pages = {edge // PAGE for mmap in mmaps for edge in (mmap.start, mmap.end)}
        for address in addresses:
            mmap = self.around(address)
            if mmap is not None:
                page, first = address // PAGE, mmap.start // PAGE
                pages |= {max(page - page % size, first) for size in (1, PMD, PUD)}
        self._puds = _ranks({page // PUD for page in pages}, exact=False)
        self._pmds = {
            pud: _ranks({page // PMD % PMD for page in pages if page // PUD == pud})
            for pud in self._puds
        }
        self._ptes = {
            pmd: _ranks({page % PMD for page in pages if page // PMD == pmd})
            for pmd in {page // PMD for page in pages}
        }
        table, upper = (_shift(ranks) for ranks in (self._ptes, self._pmds))
        self.geometry = Geometry(table, upper)
        self._real = {self.address(page * PAGE): page * PAGE for page in pages}

    def around(self, address: int) -> Mmap | None:
        return next((mmap for mmap in self.mmaps if mmap.start <= address < mmap.end), None)

    def address(self, address: int) -> int | None:
        """The address of a page; None for one that the trace was not made with."""
        page = address // PAGE
        pud, pmd, pte = page // PUD, page // PMD % PMD, page % PMD
        _pte, table, upper = self.geometry.shifts
        try:
            places = self._puds[pud], self._pmds[pud][pmd], self._ptes[page // PMD][pte]
        except KeyError:
            return None
        folded = (places[0] << upper) + (places[1] << table) + places[2]
        return FOLDED_ADDRESS + folded * PAGE

    def real(self, folded: int) -> int:
        """The address that became this one; itself, if none did."""
        return self._real.get(folded, folded)

    def offset(self, mmap: Mmap) -> int:
        """Where a mapping begins in the BAR of the model.

        Each has a part of it for itself, at the place where its address agrees with the pfn as
        far as the real ones do.
        """
        start = self.address(mmap.start)
        assert start is not None
        apart = mmap.start // PAGE - self.bar_pfn - mmap.offset // PAGE
        _pte, table, _upper = self.geometry.shifts
        shift = 0 if apart % PUD == 0 else 1 << table if apart % PMD == 0 else 1
        return start - FOLDED_ADDRESS + shift * PAGE

    def size(self) -> int:
        """Of the BAR of the model, in bytes: a power of two."""
        ends = [self.offset(mmap) + self.length(mmap) for mmap in self.mmaps]
        return 1 << (max(ends, default=PAGE) - 1).bit_length()

    def length(self, mmap: Mmap) -> int:
        start, end = self.address(mmap.start), self.address(mmap.end)
        assert start is not None and end is not None
        return end - start

    def pfn(self, pfn: int, address: int) -> int | None:
        """What the model has for a pfn that is mapped at an address."""
        mmap = self.around(address)
        if mmap is None:
            return None
        place = mmap.start + (pfn - self.bar_pfn) * PAGE - mmap.offset
        folded, start = self.address(place), self.address(mmap.start)
        if folded is None or start is None:
            return None
        return (FOLDED_BAR + self.offset(mmap) + folded - start) // PAGE

    def real_pfn(self, pfn: int, folded: int) -> int:
        """The opposite of pfn(): `folded` is the address of the model."""
        mmap = self.around(self.real(folded))
        if mmap is None:
            return pfn
        start = self.address(mmap.start)
        assert start is not None
        place = start + pfn * PAGE - FOLDED_BAR - self.offset(mmap)
        return self.bar_pfn + (self.real(place) - mmap.start + mmap.offset) // PAGE


def tables_of_others(mmaps: list[Mmap], calls: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Entries that had a table before the device was mapped: (order, an address in it).

    `calls` are (address, order) of the fault handler.  Other mappings of the process may lie in
    the same 1 GiB or 2 MiB, if the device's do not fill that.  If they do, the handler is not
    asked for so large a leaf.
    """
    found: list[tuple[int, int]] = []
    seen: set[tuple[int, int]] = set()
    for address, asked in calls:
        for order, size in ((18, PUD * PAGE), (9, PMD * PAGE)):
            slot = address // size
            filled = any(m.start <= slot * size and (slot + 1) * size <= m.end for m in mmaps)
            if (order, slot) not in seen and asked < order and not filled:
                found.append((order, address))
            seen.add((order, slot))
    return found


def _ranks(entries: set[int], exact: bool = True) -> dict[int, int]:
    """Which entry of a folded table each becomes; `exact` if the table begins with entry 0."""
    ranks: dict[int, int] = {}
    rank, before = 0, -1
    for entry in sorted(entries):
        if ranks or exact:
            rank += (entry > before + 1) + bool(ranks)
        ranks[entry] = rank
        before = entry
    return ranks


def _shift(tables: dict[int, dict[int, int]]) -> int:
    """Of the table that has room for all: for one more, unless the last is the real last."""
    most = max(
        rank + 1 + (entry < PMD - 1)
        for ranks in tables.values()
        for entry, rank in [max(ranks.items())]
    )
    return max(1, (most - 1).bit_length())
