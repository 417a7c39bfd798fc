"""Memory types of x86, and their bits in a leaf.

A protection is known by its memory type, as a text: WB, WC, UC-, UC, WP or WT.

Drawn after arch/x86/mm/pat/memtype.c (the PAT as Linux programs it), arch/x86/mm/init.c
(__cachemode2pte_tbl) and arch/x86/include/asm/pgtable_types.h.
"""

from pfnlab.engine.errors import ModelError
from pfnlab.kernel.geometry import PTE_ORDER, Order

_PAGE_PWT = 1 << 3
_PAGE_PCD = 1 << 4
_PAGE_PAT = 1 << 7  # of a PTE
_PAGE_PSE = 1 << 7  # of a PMD or PUD: a leaf, no table
_PAGE_PAT_LARGE = 1 << 12  # of a PMD or PUD leaf

# What each slot of the PAT holds; PWT, PCD and PAT are bits 0, 1 and 2 of its number.
PAT_SLOTS = ("WB", "WC", "UC-", "UC", "WB", "WP", "UC-", "WT")


def cachemode2protval(memtype: str) -> int:
    """The bits that ask for a memory type, in their places in a PTE."""
    if memtype not in PAT_SLOTS:
        raise ModelError(f"no memory type is called {memtype!r}; there are WB, WC, UC-, UC, WP, WT")
    slot = PAT_SLOTS.index(memtype)
    return (
        (_PAGE_PWT if slot & 1 else 0)
        | (_PAGE_PCD if slot & 2 else 0)
        | (_PAGE_PAT if slot & 4 else 0)
    )


def encode(memtype: str, order: Order) -> int:
    """The bits of a leaf as vmf_insert_pfn*() writes them.

    The bits have their places in a PTE at every level: pmd_mkhuge() and pud_mkhuge() add
    bit 7 and move nothing.
    """
    bits = cachemode2protval(memtype)
    return bits if order == PTE_ORDER else bits | _PAGE_PSE


def decode(bits: int, order: Order) -> str:
    """The memory type that the CPU takes from the bits of a leaf."""
    pat = _PAGE_PAT if order == PTE_ORDER else _PAGE_PAT_LARGE
    return PAT_SLOTS[
        (1 if bits & _PAGE_PWT else 0) | (2 if bits & _PAGE_PCD else 0) | (4 if bits & pat else 0)
    ]


def pgprot_noncached(prot: str) -> str:
    """The same protection, uncached: UC- on x86."""
    return _with_bits_of(prot, "UC-")


def pgprot_writecombine(prot: str) -> str:
    """The same protection, write-combining.  Adds bits only: of UC- it makes UC."""
    return _with_bits_of(prot, "WC")


def pgprot_writethrough(prot: str) -> str:
    """The same protection, write-through.  Adds bits only."""
    return _with_bits_of(prot, "WT")


def _with_bits_of(prot: str, memtype: str) -> str:
    return decode(cachemode2protval(prot) | cachemode2protval(memtype), PTE_ORDER)
