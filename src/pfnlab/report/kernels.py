"""Kernels for the lab: those that are here, and those that can be fetched."""

from collections.abc import Sequence
from typing import Any

from pfnlab.lab.kernels import KernelImage
from pfnlab.lab.packages import Available


def kernels_text(here: Sequence[KernelImage], more: Sequence[Available], why_not: str) -> str:
    """Two lists; the second has the newest of each series that is not here."""
    lines = ["Here:"] if here else ["Here: none."]
    lines += [f"  {kernel.release:<28} {kernel.version:<10} {kernel.image}" for kernel in here]
    if why_not:
        lines += ["", f"What can be fetched is not known: {why_not}"]
        return "\n".join(lines)
    lines += ["", "To be fetched by `pfnlab lab fetch VERSION`, the newest of each series:"]
    lines += [
        f"  {series(kernel):<6} {kernel.release:<28} {kernel.size / 1e6:>4.0f} MB"
        for kernel in newest_of_series(more)
    ]
    return "\n".join(lines)


def kernels_data(
    version: str, here: Sequence[KernelImage], more: Sequence[Available], why_not: str
) -> dict[str, Any]:
    """As JSON; all that can be fetched."""
    return {
        "pfnlab": version,
        "here": [
            {
                "release": kernel.release,
                "version": kernel.version,
                "image": str(kernel.image),
                "modules": None if kernel.modules is None else str(kernel.modules),
            }
            for kernel in here
        ],
        "available": [
            {"release": each.release, "version": each.version, "bytes": each.size} for each in more
        ],
        "why_none_available": why_not,
    }


def series(kernel: Available) -> str:
    return ".".join(kernel.version.split(".")[:2])


def newest_of_series(more: Sequence[Available]) -> list[Available]:
    return list({series(kernel): kernel for kernel in more}.values())
