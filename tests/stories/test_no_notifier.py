"""A KVM that asks for no mmu notifier: what it has installed stays after munmap()."""

from pfnlab import Scenario
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.kernel.kvm import Kvm
from pfnlab.rules import RULES
from tests.stories.story import told

RULE = "guest_entry_has_its_leaf"


def build(lab: Lab) -> None:
    mapping = lab.mmap(lab.vfio_device())
    deaf = Kvm("vm1", mapping.mm, mapping.address, mapping.address + mapping.size)
    lab.vms.append(deaf)

    @lab.task
    def vmm() -> None:
        lab.guest_touch(deaf, mapping)
        lab.munmap(mapping)

    lab.always(*RULES)


def test_an_entry_outlives_its_leaf() -> None:
    scenario = Scenario("no_notifier", "A guest touches a mapping that is unmapped then.", build)

    finding = told(scenario, design, RULE, "vmm:20")

    assert finding.violation.evidence == ("vm1: pmd 7f0000000000 -> pfn 3800000",)
