"""What may be reached by a way around the page table: by a guest, or by another device."""

from collections.abc import Iterator

from pfnlab.engine.program import invariant, known_exception
from pfnlab.kernel import PAGE_SIZE, Lab, Leaf
from pfnlab.kernel.kvm import entries_of
from pfnlab.kernel.pagetable import leaves_of


@invariant
def no_guest_entry_while_memory_disabled(lab: Lab) -> Iterator[str]:
    """A guest reaches the BAR while the device does not decode memory.

    Rule: D1.
    What D1 says of leaves, for the second page table of KVM.
    """
    for vdev in lab.devices if lab.vms else ():
        if vdev.in_reset or not vdev.memory_enabled:
            for vm in lab.vms:
                for entry in entries_of(vm):
                    if vdev.shows(entry.pfn, 1 << entry.order):
                        yield f"{vm}: {entry}"


@invariant
def guest_entry_has_its_leaf(lab: Lab) -> Iterator[str]:
    """An entry of a guest outlives the leaf of the host that it was made from.

    A guest has its memory at the addresses of the host.

    Rule: R25.
    virt/kvm/kvm_main.c: kvm_mmu_notifier_invalidate_range_start().
    """
    for vm in lab.vms:
        entries = entries_of(vm)
        leaves = leaves_of(vm.mm) if entries else []
        mapped = {page for leaf in leaves for page in _pages(leaf)}
        for entry in entries:
            if not mapped.issuperset(_pages(entry)):
                yield f"{vm}: {entry}"


def _pages(leaf: Leaf) -> list[tuple[int, int]]:
    """Address and pfn of each page that it maps."""
    return [(leaf.addr + page * PAGE_SIZE, leaf.pfn + page) for page in range(1 << leaf.order)]


@invariant
def no_import_while_memory_disabled(lab: Lab) -> Iterator[str]:
    """Another device reaches the BAR by a dma-buf while the device does not decode memory.

    Rule: R28.
    vfio_pci_dmabuf.c: vfio_pci_dma_buf_move(), v6.19; dma-buf.c: comment on
    dma_buf_invalidate_mappings().
    """
    for vdev in lab.devices if lab.importers else ():
        if vdev.in_reset or not vdev.memory_enabled:
            for importer in lab.importers:
                entry = importer.entry
                if entry is not None and vdev.shows(entry.pfn, entry.pages):
                    yield f"{importer} -> pfn {entry.pfn:x}..{entry.pfn + entry.pages - 1:x}"


@known_exception
def disable_waits_for_an_importer(lab: Lab) -> Iterator[str]:
    """A disable waits, with memory_lock held for write, until another device has done its work.

    Rule: L3.
    vfio_pci_dmabuf.c: vfio_pci_dma_buf_move() waits without a limit, v6.19.  Accepted
    upstream: a fence has to be signalled, and a mapping given back, in bounded time.
    """
    for dmabuf in lab.dmabufs:
        if dmabuf.resv.waiters:
            yield f"for a fence of {dmabuf}"
        if dmabuf.priv.waiters:
            yield f"for {dmabuf} to be unmapped"


@known_exception
def iommu_entry_while_memory_disabled(lab: Lab) -> Iterator[str]:
    """An IOMMU entry maps the BAR while the device does not decode memory.

    Rule: R26.
    drivers/vfio/vfio_iommu_type1.c has no mmu notifier.  Accepted upstream: a DMA to a
    BAR that is off is the affair of the two devices.
    """
    for vdev in lab.devices if lab.containers else ():
        if vdev.in_reset or not vdev.memory_enabled:
            for container in lab.containers:
                pfns = [pfn for pfn in container.entries.values() if pfn is not None]
                shown = [pfn for pfn in pfns if vdev.shows(pfn, 1)]
                if shown:
                    yield f"{container} -> pfn {min(shown):x}..{max(shown):x}"
