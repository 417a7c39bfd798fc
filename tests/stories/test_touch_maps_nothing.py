"""Designs with which nobody reaches the memory, and that do nothing else wrong.

No leaf is left where none ever was, so all the rules about safety hold.
"""

from dataclasses import replace

from pfnlab import Design
from pfnlab.designs import huge_fault, remap_on_mmap
from pfnlab.kernel import *
from pfnlab.scenarios.faults import first_fault
from pfnlab.scenarios.pat import touch_after_enable
from tests.stories.story import told

RULE = "enabled_memory_is_reached"


def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
    return 0


forgotten = Design(
    name="hooks_forgotten",
    mmap=mmap,
    zap_and_down_write_memory_lock=huge_fault.zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock=huge_fault.zap_and_trylock_memory_lock,
)


def sigbus(vmf: VmFault) -> vm_fault_t:
    return VM_FAULT_SIGBUS


always_sigbus = replace(
    huge_fault.design, name="always_sigbus", vm_ops=VmOperations(fault=sigbus)
)  # fmt: skip


def test_a_mapping_without_a_handler_that_mmap_leaves_empty() -> None:
    finding = told(first_fault, forgotten, RULE, "vcpu:6")

    assert finding.violation.evidence == (
        "VM_FAULT_SIGBUS at 7f0000000000, with memory enabled and mapped.",
    )


def test_a_handler_that_never_maps() -> None:
    told(first_fault, always_sigbus, RULE, "vcpu:9")


def test_what_mmap_has_mapped_is_gone_after_a_disable() -> None:
    told(touch_after_enable, remap_on_mmap.design, RULE, "vcpu:22")
