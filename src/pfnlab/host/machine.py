"""What this machine is: kernel, CPU, virtual or not, and its policy for huge pages."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from pfnlab.host.pci import ROOT, read_text

THP_ENABLED = Path("sys/kernel/mm/transparent_hugepage/enabled")


@dataclass(frozen=True)
class Machine:
    """`name` is the product and the model of its CPU.  `address_bits` are physical, 0 unknown.

    flags  of those that matter here, what the CPU has: "pdpe1gb", "la57"
    """

    name: str
    virtual: bool
    architecture: str
    kernel: str
    thp: str
    address_bits: int
    flags: tuple[str, ...]


def read_machine(root: Path = ROOT) -> Machine:
    cpuinfo = read_text(root / "proc/cpuinfo") or ""
    flags = field_of(cpuinfo, "flags").split()
    uname = os.uname()
    release = read_text(root / "proc/sys/kernel/osrelease") or uname.release
    product = " ".join(
        text
        for name in ("sys_vendor", "product_name")
        if (text := read_text(root / "sys/class/dmi/id" / name))
    )
    sizes = re.match(r"(\d+) bits physical", field_of(cpuinfo, "address sizes"))
    return Machine(
        ", ".join(text for text in (product, field_of(cpuinfo, "model name")) if text),
        "hypervisor" in flags,
        uname.machine,
        release,
        thp_policy(root),
        int(sizes[1]) if sizes else 0,
        tuple(name for name in ("pdpe1gb", "la57") if name in flags),
    )


def field_of(cpuinfo: str, name: str) -> str:
    found = re.search(rf"^{name}\s*: (.*)$", cpuinfo, re.M)
    return found[1].strip() if found else ""


def thp_policy(root: Path = ROOT) -> str:
    """The chosen one of "always [madvise] never"; "" if the kernel has no such pages."""
    found = re.search(r"\[(\w+)\]", read_text(root / THP_ENABLED) or "")
    return found[1] if found else ""
