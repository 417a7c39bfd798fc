"""huge_fault, but nobody asks whether memory is enabled.

memory_lock orders the fault and the zap; a fault that comes after the zap maps the BAR
all the same.  This is CVE-2020-12888 as it was before abafbc551fdd ("vfio-pci: Invalidate
mmaps and block MMIO access on disabled memory", v5.8).
"""

from dataclasses import replace

from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "no_leaf_while_memory_disabled"


def page_fault(vmf: VmFault) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data
    with vdev.memory_lock.read():
        return vmf_insert_pfn(vma, vmf.address, vdev.bar_pfn(vmf.pgoff))


insert_without_the_check = replace(
    design, name="insert_without_the_check", vm_ops=VmOperations(fault=page_fault)
)


def test_a_fault_after_the_zap_maps_the_disabled_bar() -> None:
    finding = told(zap_vs_fault, insert_without_the_check, RULE, "config:8,vcpu:9")

    assert finding.violation.task == "vcpu"
    assert finding.violation.evidence == ("pte 7f0000000000 -> pfn 3800000",)
