"""The policy for transparent huge pages, as far as it decides about huge_fault.

Drawn after mm/huge_memory.c: __thp_vma_allowable_orders().

Model: the policy is the machine's, and is set before anything runs.  prctl() has no
PR_THP_DISABLE_EXCEPT_ADVISED, as v7.3 has.
"""

from typing import Any

from pfnlab.engine.current import current_execution
from pfnlab.kernel.profile import running_kernel
from pfnlab.kernel.vma import VM_HUGEPAGE, VM_NOHUGEPAGE, Vma
from pfnlab.workload import ThpPolicy


def thp_vma_allowable_order(vma: Vma) -> bool:
    """Whether a fault may ask huge_fault for a large leaf.  The caller reads the VMA legally.

    VM_NOHUGEPAGE and prctl(PR_SET_THP_DISABLE) always count.  /sys/kernel/mm/transparent_hugepage
    counts where the kernel has the gate: "never" refuses, "madvise" wants VM_HUGEPAGE.
    """
    if vma.vm_ops.huge_fault is None:
        return False
    lab: Any = current_execution().program  # a MemoryLab, as there is a VMA
    if vma.vm_flags & VM_NOHUGEPAGE or lab.thp_disabled:
        return False
    if not running_kernel().thp_gate:
        return True
    policy: ThpPolicy = lab.thp
    return policy == "always" or (policy == "madvise" and bool(vma.vm_flags & VM_HUGEPAGE))
