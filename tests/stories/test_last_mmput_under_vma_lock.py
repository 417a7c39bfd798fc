"""remap_on_fault whose zap gives the mm back before it lets vma_lock go.

If the process has exited meanwhile, this is the last mmput(): it runs exit_mmap() here, which
calls ->close, which takes vma_lock.  The kernel calls mmput() with nothing held.
"""

from dataclasses import replace

from pfnlab import explore, scenario
from pfnlab.designs.remap_on_fault import Device, design, first_living_mm
from pfnlab.kernel import *
from tests.stories.story import told

RULE = "no_deadlock"


def zap_and_down_write_memory_lock(vdev: Device) -> None:
    while True:
        mutex_lock(vdev.vma_lock)
        mm = first_living_mm(vdev)
        if mm is None:
            break
        mutex_unlock(vdev.vma_lock)

        mmap_read_lock(mm)
        mutex_lock(vdev.vma_lock)
        for vma in vdev.vma_list:
            if vma.vm_mm is mm:
                vdev.vma_list.remove(vma)
                zap_vma_ptes(vma, vma.vm_start, vma.size)
        mmap_read_unlock(mm)
        mmput(mm)
        mutex_unlock(vdev.vma_lock)

    down_write(vdev.memory_lock)
    mutex_unlock(vdev.vma_lock)


mmput_under_vma_lock = replace(
    design,
    name="mmput_under_vma_lock",
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
)


@scenario
def exit_vs_disable(lab: Lab) -> None:
    """A process fills a mapping and exits while memory is turned off."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def process() -> None:
        lab.touch(mapping)
        lab.exit()

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)


def test_close_waits_for_the_lock_of_its_own_caller() -> None:
    told(
        exit_vs_disable,
        mmput_under_vma_lock,
        RULE,
        "process:18,config:14,process:1,config:12",
        alone=True,
    )


def test_with_nothing_held_the_zap_may_end_a_process() -> None:
    assert explore(exit_vs_disable, design, rules=["no_deadlock", "L2", "R7"]).verdict == "ok"
