"""What doctor found, as text and as data: facts, what a mapping gets, and what would help."""

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pfnlab.cost.estimate import Cost
from pfnlab.cost.explain import Explanation
from pfnlab.cost.simulate import Setting
from pfnlab.host.doctor import DeviceFacts, HostFacts, KernelFacts
from pfnlab.host.mapping_design import MappingDesign
from pfnlab.host.pci import BarResource
from pfnlab.kernel.geometry import PAGE_SIZE, GiB, MiB
from pfnlab.report.explain import total_text
from pfnlab.report.layout import line_width, many, number, size_text

NEEDED = "CONFIG_ARCH_SUPPORTS_HUGE_PFNMAP and THP"


@dataclass(frozen=True)
class Likeness:
    """The design that the kernel is like, and the profile nearest to it.

    huge_pfnmap  its configuration allows leaves of 2 MiB and 1 GiB, or is not known
    """

    setting: Setting
    profile: str
    huge_pfnmap: bool


@dataclass(frozen=True)
class BarCost:
    """A whole BAR that is touched once: at the best address, and where mmap() puts it."""

    bar: BarResource
    best: Explanation
    natural: Cost


Costs = Mapping[tuple[str, int], BarCost]


def doctor_text(host: HostFacts, model: Likeness | None, costs: Costs) -> str:
    machine, vfio = host.machine, host.vfio
    where = machine.name or "unknown machine"
    lines = [
        ("machine", f"{where}, {'virtual' if machine.virtual else 'not virtual'}"),
        *kernel_lines(host.kernel, model),
        ("THP", machine.thp or "this kernel has no transparent huge pages"),
        ("IOMMU", iommu_text(host)),
        ("VFIO", vfio_text(host)),
        ("measure", measure_text(host)),
    ]
    if not vfio.modules and not vfio.container and model is None:
        lines.append(("", "No mapping of a BAR can be made here by VFIO."))
    parts = [facts_text(lines)]
    devices = "\n".join(
        line for device in host.devices for line in device_lines(device, model, costs)
    )
    parts.append(devices or "This machine has no PCI devices.")
    advice = list(remedies(host, model, costs))
    if advice:
        parts.append("\n".join(["What would help", *map(advice_text, advice)]))
    return "\n\n".join(parts)


def advice_text(advice: str) -> str:
    return textwrap.fill(advice, line_width(), subsequent_indent="  ", break_on_hyphens=False)


def kernel_text(kernel: KernelFacts, model: Likeness | None) -> str:
    return facts_text(kernel_lines(kernel, model))


def facts_text(lines: list[tuple[str, str]]) -> str:
    return "\n".join(
        textwrap.fill(
            text, line_width(), initial_indent=f"{name:9}", subsequent_indent=" " * 9,
            break_on_hyphens=False, break_long_words=False,
        )
        for name, text in lines
    )  # fmt: skip


def kernel_lines(kernel: KernelFacts, model: Likeness | None) -> list[tuple[str, str]]:
    lines = [("kernel", kernel.release), ("design", design_text(kernel.design, model))]
    if kernel.options:
        lines.append(("config", f"{options_text(kernel.options)} ({kernel.options_from})"))
    else:
        lines.append(("config", "no file of it was found"))
    return lines


def options_text(options: Mapping[str, str]) -> str:
    """What is not in a configuration may be off, or not be known to such a kernel."""
    there = [f"{name}={value}" for name, value in options.items() if value != "n"]
    absent = [name for name, value in options.items() if value == "n"]
    parts = [", ".join(there)] if there else []
    if absent:
        parts.append(f"without {', '.join(absent)}")
    return "; ".join(parts)


def design_text(design: MappingDesign, model: Likeness | None) -> str:
    if model is None:
        return f"none: {design.note}"
    note = f"; {design.note}" if design.note else ""
    return f"{design.name}, by {design.source}{note}. Nearest profile: {model.profile}"


def iommu_text(host: HostFacts) -> str:
    vfio = host.vfio
    if not vfio.iommu_groups:
        return "none in use"
    return f"{', '.join(vfio.iommus) or 'no name'}; {many(vfio.iommu_groups, 'group')}"


def vfio_text(host: HostFacts) -> str:
    vfio = host.vfio
    if not vfio.modules and not vfio.container:
        return "not loaded"
    parts = [", ".join(vfio.modules) or "no modules"]
    parts.append(f"groups in /dev/vfio: {', '.join(vfio.groups)}" if vfio.groups else "no groups")
    if not vfio.container:
        parts.append("no /dev/vfio/vfio")
    parts.append("iommufd" if vfio.iommufd else "no iommufd")
    return "; ".join(parts)


def measure_text(host: HostFacts) -> str:
    """Which counts there would be."""
    texts = [f"{name}: {reason or 'yes'}" for name, reason in host.counters.items()]
    return "; ".join(texts)


def device_lines(device: DeviceFacts, model: Likeness | None, costs: Costs) -> Iterator[str]:
    pci = device.pci
    group = f"group {pci.group}" if pci.group else "no group"
    others = len(device.group_members) - 1
    if others > 0:
        group += f" with {many(others, 'other')}"
    reset = " ".join(pci.reset_methods) or "none"
    yield f"{pci.bdf}  {pci.id}  driver {pci.driver or 'none'}  {group}  reset {reset}"
    for bdf, driver in device.rivals:
        yield f"  VFIO cannot use group {pci.group} as long as {driver} has {bdf}"
    for bar in pci.bars:
        yield f"  {bar_text(bar)}"
        cost = costs.get((pci.bdf, bar.index))
        if cost is not None and model is not None:
            yield from cost_lines(cost, model)
        msix = device.msix
        if cost is not None and msix is not None and msix.bar == bar.index:
            yield (
                f"    MSI-X table at {msix.offset:#x}, {size_text(msix.size)}: a VMM that does not "
                "map it has two mappings with"
            )
            yield "    an edge there, and smaller leaves around it."


def bar_text(bar: BarResource) -> str:
    kind = "64-bit" if bar.is_64bit else "32-bit"
    kind += " prefetchable" if bar.prefetchable else ""
    at = "no address"
    if bar.address:
        aligned = size_text(bar.address & -bar.address)
        at = f"at {bar.address:#x}, aligned to {aligned}"
    text = f"BAR {bar.index}  {size_text(bar.size)}  {at}  {kind}"
    if bar.resizable:
        text += f"  can have {', '.join(size_text(size) for size in bar.resizable)}"
    return text


def cost_lines(cost: BarCost, model: Likeness) -> Iterator[str]:
    for name, counted in (("best address", cost.best.cost), ("mmap(NULL)", cost.natural)):
        total = counted.total.faults
        faults = f"{number(total)} {'fault' if total == 1 else 'faults'}"
        yield f"    {name:12}  {total_text(counted.steps[-1])}; {faults}"
    why = why_not_larger(cost, model)
    if why:
        yield f"    {why}"
    if mmap_takes_more(cost):
        modulo = agreement(cost)
        yield f"    mmap(NULL): its address agrees with that of the BAR modulo {modulo} only."


def mmap_takes_more(cost: BarCost) -> bool:
    return cost.natural.total.faults > cost.best.cost.total.faults


def agreement(cost: BarCost) -> str:
    """Modulo which leaf the address that mmap() chose agrees with that of the BAR."""
    apart = cost.natural.workload.windows[0].address - cost.bar.address
    sizes = (GiB, 2 * MiB, PAGE_SIZE)
    return size_text(next(size for size in sizes if apart % size == 0))


def why_not_larger(cost: BarCost, model: Likeness) -> str:
    """Why not everything is 1 GiB at the best address, in one sentence."""
    bar = cost.bar
    reasons = {part.why for part in cost.best.ranges if part.why}
    if "design" in reasons:
        return "No larger leaves: this kernel's fault handler maps pages of 4 KiB."
    if "policy" in reasons and not model.huge_pfnmap:
        return f"No larger leaves: the kernel is without {NEEDED}."
    if "policy" in reasons:
        return f"No larger leaves: the THP policy is {cost.best.setting.thp}."
    if bar.size < GiB:
        return "No 1 GiB: the BAR is smaller." if reasons else ""
    if bar.address % GiB or bar.size % GiB:
        return "Not all is 1 GiB: the BAR does not begin and end at multiples of it."
    return ""


def remedies(host: HostFacts, model: Likeness | None, costs: Costs) -> Iterator[str]:
    """What the reader can do, the most useful first."""
    some = list(costs.values())
    if model is None or not some:
        return
    setting = model.setting
    huge = setting.design.vm_ops.huge_fault is not None and model.huge_pfnmap
    if setting.design.vm_ops.huge_fault is None:
        yield "- a kernel whose vfio-pci has huge_fault: this one maps pages of 4 KiB"
    elif not huge:
        yield f"- a kernel with {NEEDED}: this one maps pages of 4 KiB"
    elif setting.kernel.thp_gate and setting.thp == "never":
        yield "- echo always > /sys/kernel/mm/transparent_hugepage/enabled"
    elif setting.kernel.thp_gate and setting.thp == "madvise":
        yield (
            "- echo always > /sys/kernel/mm/transparent_hugepage/enabled, or madvise(MADV_HUGEPAGE)"
        )
    if not setting.kernel.type1_by_leaf:
        (bdf, index), largest = max(costs.items(), key=lambda item: item[1].bar.size)
        yield (
            "- v6.15 or later, where type1 looks a BAR up leaf by leaf: here mapping "
            f"BAR {index} of {bdf} for DMA takes {number(largest.bar.size // PAGE_SIZE)} lookups, "
            "one for each 4 KiB"
        )
    if huge:
        if any(map(mmap_takes_more, some)):
            yield (
                "- mmap() with MAP_FIXED at an address that agrees with that of the BAR modulo "
                "1 GiB, or 2 MiB"
            )
        for (bdf, index), cost in costs.items():
            if cost.bar.address % min(GiB, cost.bar.size & -cost.bar.size):
                yield f"- let firmware align BAR {index} of {bdf}: it is at {cost.bar.address:#x}"


def kernel_data(version: str, kernel: KernelFacts, model: Likeness | None) -> dict[str, Any]:
    """What `--kernel DIR --json` prints."""
    return {"pfnlab": version, "kernel": facts_of_kernel(kernel, model)}


def facts_of_kernel(kernel: KernelFacts, model: Likeness | None) -> dict[str, Any]:
    return {
        "release": kernel.release,
        "version": kernel.version,
        "design": kernel.design.name or None,
        "design_by": kernel.design.source or None,
        "note": kernel.design.note or None,
        "symbols": sorted(kernel.design.symbols),
        "profile": None if model is None else model.profile,
        "config": dict(kernel.options),
        "config_from": kernel.options_from or None,
    }


def doctor_data(
    version: str, host: HostFacts, model: Likeness | None, costs: Costs
) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "pfnlab": version,
        "machine": asdict(host.machine),
        "kernel": facts_of_kernel(host.kernel, model),
        "root": host.root,
        "vfio": asdict(host.vfio),
        "counters": dict(host.counters),
        "devices": [device_data(device, model, costs) for device in host.devices],
        "remedies": [text.removeprefix("- ") for text in remedies(host, model, costs)],
    }


def device_data(device: DeviceFacts, model: Likeness | None, costs: Costs) -> dict[str, Any]:
    data = asdict(device)
    for bar in data["pci"]["bars"]:
        cost = costs.get((device.pci.bdf, bar["index"]))
        if cost is not None and model is not None:
            bar["best"] = counts_of(cost.best.cost)
            bar["natural"] = counts_of(cost.natural)
            bar["why"] = why_not_larger(cost, model) or None
    return data


def counts_of(cost: Cost) -> dict[str, Any]:
    state = cost.steps[-1].state
    return {
        "faults": cost.total.faults,
        **{name: state.get(f"leaves {name}", 0) for name in ("pud", "pmd", "pte")},
        "table_bytes": cost.steps[-1].table_bytes,
    }
