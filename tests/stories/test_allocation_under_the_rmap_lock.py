"""huge_fault that fills every mapping under i_mmap_rwsem when memory is enabled.

What lockdep said of io_remap_mapping_range() in 2021 (KVM list, March 2021, in the replies to
"vfio: Device memory DMA mapping improvements"): tables are allocated under i_mmap_rwsem, and
reclaim takes i_mmap_rwsem.  dma_resv_lockdep() shows the other half of the circle at each boot,
so no memory has to be short to see it.
"""

from dataclasses import replace

from pfnlab import explore, scenario
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.rules import RULES
from tests.stories.story import told

RULE = "no_fs_reclaim_under_i_mmap"


def io_remap_mapping_range(vdev: VfioPciDevice) -> None:
    i_mmap_lock_read(vdev.mapping)
    for vma in vdev.mapping.i_mmap:
        for page in range(vma.vm_start, vma.vm_end, PAGE_SIZE):
            pfn = vdev.bar_pfn(vma.vm_pgoff) + (page - vma.vm_start >> PAGE_SHIFT)
            vmf_insert_pfn(vma, page, pfn)
    i_mmap_unlock_read(vdev.mapping)


def map_and_up_write_memory_lock(vdev: VfioPciDevice) -> None:
    io_remap_mapping_range(vdev)
    up_write(vdev.memory_lock)


def map_without_fs(vdev: VfioPciDevice) -> None:
    flags = memalloc_nofs_save()
    io_remap_mapping_range(vdev)
    memalloc_nofs_restore(flags)
    up_write(vdev.memory_lock)


def map_with_a_lock_between(vdev: "Device") -> None:
    """A list node is allocated under a lock of the driver, which is also taken in a walk."""
    with vdev.list_lock:
        might_alloc(GFP_KERNEL)
    i_mmap_lock_read(vdev.mapping)
    with vdev.list_lock:
        i_mmap_unlock_read(vdev.mapping)
    up_write(vdev.memory_lock)


class Device(VfioPciDevice):
    list_lock = mutex()


allocates = replace(
    design,
    name="allocation_under_the_rmap_lock",
    map_and_up_write_memory_lock=map_and_up_write_memory_lock,
)


@scenario
def enable(lab: Lab) -> None:
    """Memory decoding is turned on, and a process has a mapping."""
    vdev = lab.vfio_device()
    lab.mmap(vdev)
    lab.write_command(vdev, memory=False)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=True)

    lab.always(*RULES)


def test_reclaim_takes_the_lock_under_which_a_table_is_allocated() -> None:
    finding = told(enable, allocates, RULE, "config:7")

    assert finding.violation.evidence == (
        "AddressSpace.i_mmap_rwsem > fs_reclaim: config takes fs_reclaim while it holds "
        "AddressSpace.i_mmap_rwsem (step 5).",
        "The order is fs_reclaim > AddressSpace.i_mmap_rwsem.",
    )


def test_memalloc_nofs_calms_lockdep_and_helps_no_further() -> None:
    calm = replace(allocates, map_and_up_write_memory_lock=map_without_fs)

    result = explore(enable, calm)

    assert explore(enable, calm, rules=["R13", "L2"]).verdict == "ok"
    assert result.violation is not None
    assert result.violation.rule == "leaf_installed_under_mmap_lock"


def test_a_lock_between_the_two_makes_a_circle_of_three() -> None:
    longer = replace(allocates, device=Device, map_and_up_write_memory_lock=map_with_a_lock_between)

    finding = told(enable, longer, "lock_order", "config:8")

    assert finding.violation.evidence == (
        "AddressSpace.i_mmap_rwsem > Device.list_lock: config takes Device.list_lock while it "
        "holds AddressSpace.i_mmap_rwsem (step 7).",
        "Device.list_lock > fs_reclaim: config takes fs_reclaim while it holds Device.list_lock "
        "(step 5).",
        "fs_reclaim > AddressSpace.i_mmap_rwsem: dma_resv_lockdep() shows it at every boot.",
    )


def test_an_allocation_that_may_not_wait_is_no_edge() -> None:
    def nowait(vdev: VfioPciDevice) -> None:
        i_mmap_lock_read(vdev.mapping)
        might_alloc(GFP_NOWAIT)
        might_alloc(GFP_NOFS)
        i_mmap_unlock_read(vdev.mapping)
        up_write(vdev.memory_lock)

    assert explore(enable, replace(allocates, map_and_up_write_memory_lock=nowait)).verdict == "ok"
