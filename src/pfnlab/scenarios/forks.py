"""Processes that fork."""

from pfnlab.engine.program import scenario
from pfnlab.kernel import Lab
from pfnlab.rules import RULES


@scenario
def fork_vs_disable(lab: Lab) -> None:
    """A process fills a mapping and forks while memory is turned off."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def parent() -> None:
        lab.touch(mapping)
        lab.fork()

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)

    lab.always(*RULES)


@scenario
def child_touches_vs_disable(lab: Lab) -> None:
    """A child touches the mapping that it got from its parent while memory is turned off."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def child() -> None:
        lab.touch(mapping.of(lab.fork()))

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)

    lab.always(*RULES)
