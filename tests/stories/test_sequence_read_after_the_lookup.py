"""A KVM that reads mmu_invalidate_seq after it has looked the pfn up.

A zap that begins and ends between the lookup and the read is never seen: none is in
progress, and the sequence is the one that was read.
"""

from pfnlab import Scenario
from pfnlab.designs.huge_fault import design
from pfnlab.engine.step import begin_trying, done_trying
from pfnlab.kernel import *
from pfnlab.kernel.kvm import Kvm, hva_to_pfn, kvm_tdp_mmu_map
from pfnlab.rules import RULES
from tests.stories.story import told

RULE = "no_guest_entry_while_memory_disabled"


def fault_of_the_guest(vm: Kvm, mapping: Mapping) -> None:
    begin_trying()
    error, pfn = hva_to_pfn(vm.mm, mapping.address)
    done_trying()
    if not error:
        kvm_tdp_mmu_map(vm, mapping.address, pfn, mmu_seq=vm.mmu_invalidate_seq)


def build(lab: Lab) -> None:
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)
    vm = lab.vm(mapping)

    @lab.task
    def guest() -> None:
        fault_of_the_guest(vm, mapping)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)

    lab.always(*RULES)


late = Scenario("late_sequence", "A guest faults while memory is turned off.", build)


def test_a_guest_reaches_a_bar_that_is_off() -> None:
    finding = told(late, design, RULE, "guest:11,config:9,guest:2", alone=True)

    assert finding.violation.evidence == ("vm1: pte 7f0000000000 -> pfn 3800000",)
