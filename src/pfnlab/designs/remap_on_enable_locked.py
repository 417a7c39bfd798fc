"""remap_on_enable_locked: the same, but memory_lock is held for write until all is mapped.

The other way to read the sketch of Jason Gunthorpe in the thread of "[PATCH] vfio/pci: take
mmap write lock for io_remap_pfn_range", 2024-05-22, which does not say what its loop holds.
See remap_on_enable.

Nobody can disable memory while the loop runs.  But it takes mmap_lock inside memory_lock,
and ->mmap, which fills a new mapping, takes the two the other way round: a deadlock.

    memory_lock  >  mmap_lock  >  i_mmap_rwsem, against mmap_lock  >  memory_lock in ->mmap
"""

from pfnlab.designs.huge_fault import (
    zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock,
)
from pfnlab.designs.remap_on_enable import remap_all
from pfnlab.designs.remap_on_mmap import mmap
from pfnlab.kernel import *


def map_and_up_write_memory_lock(vdev: VfioPciDevice) -> None:
    remap_all(vdev)
    up_write(vdev.memory_lock)


design = Design(
    name="remap_on_enable_locked",
    kernels="never merged",
    kernel="v6.10",
    year=2024,
    mmap=mmap,
    vm_ops=VmOperations(),
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock=zap_and_trylock_memory_lock,
    map_and_up_write_memory_lock=map_and_up_write_memory_lock,
)
