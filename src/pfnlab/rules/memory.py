"""What may be reachable while a device does not decode memory."""

from collections.abc import Iterator

from pfnlab.engine.program import invariant
from pfnlab.kernel import Lab, Leaf


@invariant
def no_leaf_while_memory_disabled(lab: Lab) -> Iterator[Leaf]:
    """A leaf maps the BAR while the device does not decode memory.

    Rule: D1.
    CVE-2020-12888; abafbc551fdd ("vfio-pci: Invalidate mmaps and block MMIO access on
    disabled memory"), v5.8.
    """
    for vdev in lab.devices:
        if not vdev.memory_enabled:
            yield from lab.leaves_of(vdev)
