"""huge_fault that forgets pgprot_noncached(), on v6.12: a PUD leaf maps the BAR write-back.

PTEs and PMDs are put right, as vmf_insert_pfn*() takes the type that vfio-pci's own mapping
has reserved.  vmf_insert_pfn_pud() looks it up too, and then uses vm_page_prot: cured by
fd3264c65fbb ("mm/huge_memory: don't ignore queried cachemode in vmf_insert_pfn_pud()"),
v6.16.
"""

from dataclasses import replace

from pfnlab import explore, scenario
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.rules import RULES
from pfnlab.scenarios.faults import first_fault
from tests.stories.story import told

RULE = "leaf_has_the_reserved_type"


def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
    vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP)
    return 0


cached_pud = replace(design, name="cached_pud", kernel="v6.12", mmap=mmap)


@scenario
def fault_in_a_large_bar(lab: Lab) -> None:
    """A vCPU touches a BAR of one PUD."""
    vdev = lab.vfio_device(PAGE_SIZE << PUD_ORDER)
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)

    lab.always(*RULES)


def test_a_pud_leaf_is_cached() -> None:
    finding = told(fault_in_a_large_bar, cached_pud, RULE, "vcpu:7")

    assert finding.violation.evidence == ("pud 7f0000000000 -> pfn 3800000 is WB; UC- is reserved",)


def test_from_v6_16_on_it_is_put_right() -> None:
    assert explore(fault_in_a_large_bar, cached_pud, kernel="v6.16").verdict == "ok"


def test_smaller_leaves_always_were() -> None:
    assert explore(first_fault, cached_pud, kernel="v6.12").verdict == "ok"
