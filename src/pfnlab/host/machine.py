"""What this machine is: kernel, CPU, virtual or not, and its policy for huge pages.

No regular expressions: to compile one takes an emulated guest 10 ms.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from pfnlab.host.pci import ROOT, read_text

THP_ENABLED = Path("sys/kernel/mm/transparent_hugepage/enabled")


@dataclass(frozen=True)
class Machine:
    """`name` is the product and the model of its CPU.  `address_bits` are physical, 0 unknown.

    kernel   its release, as uname prints it
    version  of the source of that
    flags  of those that matter here, what the CPU has: "pdpe1gb", "la57"
    """

    name: str
    virtual: bool
    architecture: str
    kernel: str
    version: str
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
    bits = field_of(cpuinfo, "address sizes").partition(" bits physical")[0]
    return Machine(
        ", ".join(text for text in (product, field_of(cpuinfo, "model name")) if text),
        "hypervisor" in flags,
        uname.machine,
        release,
        source_version(release, read_text(root / "proc/sys/kernel/version") or uname.version),
        thp_policy(root),
        int(bits) if bits.isdigit() else 0,
        tuple(name for name in ("pdpe1gb", "la57") if name in flags),
    )


def source_version(release: str, uname_version: str) -> str:
    """6.1.192 for Debian's 6.1.0-56-amd64: only `uname -v` has it."""
    packaged = uname_version.partition("Debian ")[2]
    return leading_version(packaged) or leading_version(release) or release


def leading_version(text: str) -> str:
    """Two or three numbers with dots, with which a text begins, or ""."""
    end = len(text) - len(text.lstrip("0123456789."))
    numbers = text[:end].strip(".").split(".")[:3]
    return ".".join(numbers) if len(numbers) > 1 else ""


def field_of(cpuinfo: str, name: str) -> str:
    """Of the first CPU; "" if there is none of that name."""
    for line in cpuinfo.splitlines():
        found, _, value = line.partition(":")
        if found.strip() == name:
            return value.strip()
    return ""


def thp_policy(root: Path = ROOT) -> str:
    """The chosen one of "always [madvise] never"; "" if the kernel has no such pages."""
    return (read_text(root / THP_ENABLED) or "").partition("[")[2].partition("]")[0]
