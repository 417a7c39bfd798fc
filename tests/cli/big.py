"""A scenario that takes some seconds, for what happens to a search on its way."""

import sys

BIG = '''
from pfnlab import scenario
from pfnlab.kernel import *


@scenario
def big(lab):
    """Two vcpus fault while memory goes off and on."""
    vdev = lab.vfio_device(4 * PAGE_SIZE)
    mapping = lab.mmap(vdev)

    def vcpu0():
        lab.touch(mapping, offset=PAGE_SIZE)

    def vcpu1():
        lab.touch(mapping, offset=PAGE_SIZE)

    def config():
        lab.write_command(vdev, memory=False)
        lab.write_command(vdev, memory=True)

    lab.add_task("vcpu0", vcpu0)
    lab.add_task("vcpu1", vcpu1)
    lab.add_task("config", config)
'''

# The command, with checkpoints and slices for the impatient.
COMMAND = [
    sys.executable,
    "-c",
    "from pfnlab.cli import board, checkpoint, jobs, main, processes\n"
    "checkpoint.EVERY = 0.2\n"
    "board.SLICE_SECONDS = jobs.SHARE = jobs.PATIENCE = 0.2\n"
    "processes.SHARE = processes.PATIENCE = 0.2\n"
    "main()",
]
