"""pfnlab doctor: what this machine does with BARs, and what stands in the way of more."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

import pfnlab
from pfnlab.catalogue import find_design
from pfnlab.cli.options import AsJson
from pfnlab.cost.address import best_address, natural_address
from pfnlab.cost.estimate import Cost, cost
from pfnlab.cost.explain import Explanation, explain
from pfnlab.cost.simulate import Setting
from pfnlab.host.doctor import HostFacts, KernelFacts, examine_host, examine_kernel
from pfnlab.kernel.design import Design
from pfnlab.kernel.geometry import GiB
from pfnlab.kernel.profile import KERNELS, Kernel, find_kernel, profile_for
from pfnlab.report.doctor import (
    BarCost,
    Likeness,
    doctor_data,
    doctor_text,
    kernel_data,
    kernel_text,
)
from pfnlab.workload import Bar, Step, ThpPolicy, Touch, Window, Workload

SMALLEST_BAR = 2 << 20  # a smaller one has no room for a huge leaf
HUGE = ("ARCH_SUPPORTS_HUGE_PFNMAP", "TRANSPARENT_HUGEPAGE")
POLICIES: dict[str, ThpPolicy] = {"always": "always", "madvise": "madvise", "never": "never"}


def doctor(
    kernel: Annotated[
        Path | None, typer.Option(help="A folder with an unpacked kernel package, instead.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what mappings of BARs get on this machine, why, and what would help."""
    if kernel is not None:
        facts = examine_kernel(kernel)
        model = model_of(facts, "always")
        if as_json:
            print(json.dumps(kernel_data(pfnlab.__version__, facts, model), indent=2))
        else:
            print(kernel_text(facts, model))
        return
    host = examine_host()
    found = model_of(host.kernel, host.machine.thp)
    costs = {} if found is None else costs_of(host, found.setting)
    if as_json:
        print(json.dumps(doctor_data(pfnlab.__version__, host, found, costs), indent=2))
    else:
        print(doctor_text(host, found, costs))


def model_of(facts: KernelFacts, thp: str) -> Likeness | None:
    """The design and the profile that stand for a kernel; None if no design is like it.

    `thp` is its policy for transparent huge pages, "" if it has none.
    """
    if not facts.design.name:
        return None
    design = find_design(facts.design.name)
    nearest = nearest_kernel(design, facts)
    if thp and all(facts.options.get(option, "y") == "y" for option in HUGE):
        return Likeness(Setting(design, nearest, POLICIES[thp]), nearest.name, True)
    # As if a policy forbade what the kernel cannot do.
    without = replace(nearest, thp_gate=True)
    return Likeness(Setting(design, without, "never"), nearest.name, False)


def nearest_kernel(design: Design, facts: KernelFacts) -> Kernel:
    """By features that have symbols, as fixes are carried back; then by the stable series."""
    base = kernel_by_symbols(design, facts)
    of_its_series = profile_for(facts.version or facts.release)
    return of_its_series if of_its_series.name.startswith(f"{base.name}.") else base


def kernel_by_symbols(design: Design, facts: KernelFacts) -> Kernel:
    symbols = facts.design.symbols
    if design.name != "huge_fault":
        vma_lock = "lock_vma_under_rcu" in symbols or facts.options.get("PER_VMA_LOCK") == "y"
        if design.name == "remap_on_fault":
            return KERNELS["v6.9" if vma_lock else "v6.1"]
        return find_kernel(design.kernel)
    if "vfio_pci_dma_buf_move" in symbols:
        return KERNELS["v7.3"]
    return KERNELS["v6.16" if "pfnmap_setup_cachemode" in symbols else "v6.12"]


def costs_of(host: HostFacts, setting: Setting) -> dict[tuple[str, int], BarCost]:
    """By address of the device and index of the BAR."""
    alike: dict[tuple[int, int], tuple[Explanation, Cost]] = {}
    found = {}
    for device in host.devices:
        for bar in device.pci.bars:
            if bar.size >= SMALLEST_BAR and bar.address:
                # What a mapping gets depends on no more of the address than this.
                shape = bar.size, bar.address % GiB
                if shape not in alike:
                    alike[shape] = costs_at(Bar(bar.size, GiB + bar.address % GiB), setting)
                found[device.pci.bdf, bar.index] = BarCost(bar, *alike[shape])
    return found


def costs_at(bar: Bar, setting: Setting) -> tuple[Explanation, Cost]:
    """Of the whole BAR, touched once, at the best address and where mmap() puts it."""
    assert bar.address is not None
    best = Window(bar.size, 0, best_address(bar.size, 0, bar.address))
    natural = Window(bar.size, 0, natural_address(bar.size, 0, setting.kernel))
    touched = Workload(bar, (natural,), (Step("touch", (Touch(),)),))
    return explain(bar, best, setting), cost(touched, setting)
