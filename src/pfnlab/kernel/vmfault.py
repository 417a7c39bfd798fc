"""struct vm_fault: one fault, as its handler sees it.  It lives on the stack of one task."""

from dataclasses import dataclass

from pfnlab.kernel.fault_codes import FaultFlag
from pfnlab.kernel.vma import Vma


@dataclass
class VmFault:
    """`address` is that of the page; `pgoff` the page of the file at it."""

    vma: Vma
    address: int
    pgoff: int
    flags: FaultFlag
