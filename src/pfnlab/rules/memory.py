"""What may be reachable while a device does not decode memory."""

from collections.abc import Iterator

from pfnlab.engine.program import invariant
from pfnlab.kernel import Lab, Leaf
from pfnlab.kernel.tlb import Translation


@invariant
def no_leaf_while_memory_disabled(lab: Lab) -> Iterator[Leaf]:
    """A leaf maps the BAR while the device does not decode memory.

    That is with COMMAND.MEM off, in D3hot, in low power and while it is reset.

    Rule: D1.
    CVE-2020-12888; abafbc551fdd ("vfio-pci: Invalidate mmaps and block MMIO access on
    disabled memory"), v5.8.
    """
    for vdev in lab.devices:
        if vdev.in_reset or not vdev.memory_enabled:
            yield from lab.leaves_of(vdev)


@invariant
def no_translation_while_memory_disabled(lab: Lab) -> Iterator[Translation]:
    """A CPU still reaches the BAR by a cached translation while the device does not decode memory.

    Rule: D1.
    What D1 says of leaves, for TLBs: an access by a translation that was not flushed needs
    no leaf.  mm/mmu_gather.c: tlb_finish_mmu(); include/asm-generic/tlb.h: tlb_free_vmas().
    """
    for vdev in lab.devices:
        if vdev.in_reset or not vdev.memory_enabled:
            yield from lab.translations_of(vdev)


@invariant
def no_bus_access_while_memory_disabled(lab: Lab) -> Iterator[str]:
    """The driver reads or writes the BAR while the device does not decode memory.

    Rule: D1.
    vfio_pci_rdwr.c: vfio_pci_core_do_io_rw(); abafbc551fdd ("vfio-pci: Invalidate mmaps and
    block MMIO access on disabled memory"), v5.8.  Low power is no matter here, as a call of
    the driver wakes the device.
    """
    for vdev in lab.devices:
        if not vdev.bus_accesses:
            continue
        if vdev.in_reset:
            yield f"an access to {vdev} is on the bus, in a reset"
        elif not (vdev.memory_enabled or vdev.pm_runtime_engaged or vdev.forced_memory):
            yield f"an access to {vdev} is on the bus, memory is off"
