"""A guest reaches a mapping through KVM, and the mapping goes away."""

from pfnlab.engine.program import scenario
from pfnlab.kernel import Lab
from pfnlab.rules import RULES
from pfnlab.scenarios.actors import guest_touches, mapped_bar, turns_memory, unmaps


@scenario
def guest_touch(lab: Lab) -> None:
    """A guest touches a fresh mapping of the BAR."""
    _vdev, mapping = mapped_bar(lab)
    lab.add_task("guest", guest_touches(lab, mapping))
    lab.always(*RULES)


@scenario
def guest_touch_vs_disable(lab: Lab) -> None:
    """A guest touches the BAR while memory decoding is turned off."""
    vdev, mapping = mapped_bar(lab)
    lab.add_task("guest", guest_touches(lab, mapping))
    lab.add_task("config", turns_memory(lab, vdev, "off"))
    lab.always(*RULES)


@scenario
def guest_touch_vs_munmap(lab: Lab) -> None:
    """A guest touches the BAR while the VMM unmaps it."""
    _vdev, mapping = mapped_bar(lab)
    lab.add_task("guest", guest_touches(lab, mapping))
    lab.add_task("vmm", unmaps(lab, mapping))
    lab.always(*RULES)
