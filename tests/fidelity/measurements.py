"""What a kernel would have measured that does exactly as the model says."""

from dataclasses import replace

from pfnlab.catalogue import find_design
from pfnlab.cost.estimate import StepCost, cost
from pfnlab.cost.simulate import Setting
from pfnlab.fidelity.cases import Case
from pfnlab.fidelity.compare import EVENTS, STATE
from pfnlab.kernel.profile import find_kernel
from pfnlab.measured import Measured, MeasuredStep
from pfnlab.workload import Mremap, Workload

PLACES = {"natural": 0x7ACD7DC3000, "1g": 0, "2m": 2 << 20, "4k": 4096}


def placed(workload: Workload) -> Workload:
    """With addresses, as a kernel would have found them."""
    bar = replace(workload.bar, address=0x4000000000)
    windows = tuple(
        replace(window, address=0x7F0000000000 + PLACES[window.place] + window.offset)
        for window in workload.windows
    )
    steps = tuple(
        replace(
            step,
            actions=tuple(
                replace(action, address=windows[action.window].address + (1 << 34))
                if isinstance(action, Mremap)
                else action
                for action in step.actions
            ),
        )
        for step in workload.steps
    )
    return Workload(bar, windows, steps)


def measured_as_the_model_says(
    case: Case, design: str = "huge_fault", kernel: str = "v6.12"
) -> Measured:
    workload = placed(case.workload)
    setting = Setting(find_design(design), find_kernel(kernel), case.thp)
    steps = tuple(step_of(step) for step in cost(workload, setting).steps)
    no_tracefs = dict.fromkeys(("calls", "fallbacks"), "no tracefs")
    return Measured(
        workload, steps, f"{kernel.removeprefix('v')}.95-amd64", design, "1b36:0005",
        "QEMU TCG", True, "2026-11-28", case.thp, f"{kernel.removeprefix('v')}.95", no_tracefs,
    )  # fmt: skip


def step_of(step: StepCost) -> MeasuredStep:
    events = {name: step.event(name) for name in (*EVENTS, "map_dma -EFAULT")}
    events["faults"] = step.event("resolved")
    state = {name: step.state.get(name, 0) for name in STATE}
    return MeasuredStep(
        step.name,
        {
            name: count
            for name, count in events.items()
            if count and not name.startswith(("calls", "fallbacks"))
        },
        {name: count for name, count in state.items() if count},
    )
