"""Memory types of leaves: what the CPU takes them for, and what is reserved.

Model: of the reservations, only those that a device holds for its life are compared.
"""

from collections.abc import Iterator

from pfnlab.kernel import PAGE_SHIFT, Lab, Leaf, Vma, leaf_rule
from pfnlab.kernel.pgprot import decode, encode


@leaf_rule
def leaf_has_the_type_asked_for(lab: Lab, vma: Vma, leaf: Leaf) -> Iterator[str]:
    """The CPU takes a leaf for another memory type than the kernel meant.

    Rule: R33.
    arch/x86/include/asm/pgtable_types.h: _PAGE_BIT_PAT is 7 in a PTE, 12 in a larger leaf.
    """
    taken = decode(encode(leaf.prot, leaf.order), leaf.order)
    if taken != leaf.prot:
        yield f"{leaf} is meant to be {leaf.prot}, and is {taken}"


@leaf_rule
def leaf_has_the_reserved_type(lab: Lab, vma: Vma, leaf: Leaf) -> Iterator[str]:
    """A leaf maps device memory with another type than the one that is reserved for it.

    Rule: R32.
    Two mappings of a page with two types are undefined on x86; arch/x86/mm/pat/memtype.c
    keeps one type for all, as long as everybody asks.
    """
    reserved = reserved_type(lab, leaf.pfn)
    if reserved is not None and leaf.prot != reserved:
        yield f"{leaf} is {leaf.prot}; {reserved} is reserved"


@leaf_rule
def reserved_type_is_that_of_the_first_page(lab: Lab, vma: Vma, leaf: Leaf) -> Iterator[str]:
    """A large leaf covers pages that have several memory types reserved.

    Rule: R28a.
    arch/x86/mm/pat/memtype.c: track_pfn_insert() looks up the type of the first page only.
    """
    first = reserved_type(lab, leaf.pfn)
    for pfn in range(leaf.pfn + 1, leaf.pfn + (1 << leaf.order)):
        reserved = reserved_type(lab, pfn)
        if None not in (first, reserved) and reserved != first:
            yield f"{leaf}: pfn {pfn:x} is reserved as {reserved}, the first one as {first}"
            return


def reserved_type(lab: Lab, pfn: int) -> str | None:
    return lab.memtypes.held_type(pfn << PAGE_SHIFT) if lab.memtypes is not None else None
