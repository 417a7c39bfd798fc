"""File systems as a few kernels would show them, below a folder of a test."""

from pathlib import Path

MEM, MEM64, PREFETCH = 0x40200, 0x100000, 0x2000

KALLSYMS_HUGE = """\
0000000000000000 T init_task
0000000000000000 T vmf_insert_pfn
0000000000000000 T unmap_mapping_range
0000000000000000 T lock_vma_under_rcu
0000000000000000 t vfio_pci_mmap_huge_fault\t[vfio_pci_core]
0000000000000000 t vfio_pci_core_mmap\t[vfio_pci_core]
"""


def put(path: Path, text: str | bytes = "") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def link(path: Path, target: Path) -> None:
    """A link that works also where `target` is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def put_device(
    root: Path, bdf: str, bars: dict[int, tuple[int, int]], driver: str = "", group: str = "",
    name: str = "10de:2330", config: bytes = b"", flags: int = MEM | MEM64 | PREFETCH,
    resize: int = 0,
) -> Path:  # fmt: skip
    """`bars` has address and size by index."""
    folder = root / "sys/bus/pci/devices" / bdf
    vendor, device = name.split(":")
    put(folder / "vendor", f"0x{vendor}\n")
    put(folder / "device", f"0x{device}\n")
    put(folder / "class", "0x030200\n")
    put(folder / "reset_method", "flr bus\n")
    put(folder / "driver_override", "(null)\n")
    put(folder / "config", config)
    lines = []
    for index in range(13):
        address, size = bars.get(index, (0, 0))
        last = address + size - 1 if size else 0
        lines.append(f"{address:#018x} {last:#018x} {flags if size else 0:#018x}")
    put(folder / "resource", "\n".join(lines) + "\n")
    for index in bars:
        if resize:
            put(folder / f"resource{index}_resize", f"{resize:016x}\n")
    if driver:
        link(folder / "driver", root / "sys/bus/pci/drivers" / driver)
    if group:
        link(folder / "iommu_group", root / "sys/kernel/iommu_groups" / group)
        put(root / "sys/kernel/iommu_groups" / group / "devices" / bdf)
    return folder


def config_space() -> bytes:
    """With FLR, an MSI-X table of 128 entries in BAR 0 at 0x2000, and a resizable BAR 1."""
    data = bytearray(4096)
    data[0x04:0x08] = bytes([0x06, 0x00, 0x10, 0x00])  # COMMAND, STATUS: a list
    data[0x34] = 0x40
    data[0x40:0x48] = bytes([0x10, 0x60, 2, 0]) + (1 << 28).to_bytes(4, "little")
    data[0x60:0x6C] = bytes([0x11, 0, 127, 0]) + (0x2000).to_bytes(4, "little") + bytes(4)
    data[0x100:0x104] = (0x0001 | 1 << 16 | 0x200 << 20).to_bytes(4, "little")
    data[0x200:0x204] = (0x0015 | 1 << 16).to_bytes(4, "little")
    data[0x204:0x20C] = (0x700 << 4).to_bytes(4, "little") + (1 | 1 << 5).to_bytes(4, "little")
    return bytes(data)


def put_machine(
    root: Path, release: str = "6.12.95", thp: str = "always [madvise] never", virtual: bool = False
) -> None:
    flags = "fpu pdpe1gb la57" + (" hypervisor" if virtual else "")
    put(
        root / "proc/cpuinfo",
        f"processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: {flags}\n"
        "address sizes\t: 46 bits physical, 48 bits virtual\n",
    )
    put(root / "proc/sys/kernel/osrelease", release + "\n")
    put(root / "sys/class/dmi/id/product_name", "Some Server\n")
    put(root / "sys/kernel/mm/transparent_hugepage/enabled", thp + "\n")


def put_vfio_host(root: Path) -> None:
    """A server with two GPUs, of which one is with vfio-pci, and an SSD."""
    put_machine(root)
    put(root / "proc/kallsyms", KALLSYMS_HUGE)
    put(
        root / "boot/config-6.12.95",
        "CONFIG_VFIO_PCI=m\nCONFIG_VFIO_GROUP=y\nCONFIG_ARCH_SUPPORTS_HUGE_PFNMAP=y\n"
        "CONFIG_ARCH_SUPPORTS_PMD_PFNMAP=y\nCONFIG_ARCH_SUPPORTS_PUD_PFNMAP=y\n"
        "CONFIG_TRANSPARENT_HUGEPAGE=y\nCONFIG_PER_VMA_LOCK=y\n# CONFIG_IOMMUFD is not set\n",
    )
    for module in ("vfio", "vfio_pci", "vfio_pci_core", "vfio_iommu_type1"):
        put(root / "sys/module" / module / "refcnt", "1\n")
    put(root / "dev/vfio/vfio")
    put(root / "dev/vfio/17")
    for driver in ("vfio-pci", "nvidia", "nvme"):
        put(root / "sys/bus/pci/drivers" / driver / "bind")
    put(root / "sys/class/iommu/dmar0/x")
    gpu = {0: (0x380000000000, 16 << 20), 2: (0x388000000000, 128 << 30)}
    put_device(root, "0000:17:00.0", gpu, "vfio-pci", "17", config=config_space())
    odd = {0: (0x3FA000000000, 16 << 20), 2: (0x3FA040200000, 2 << 30)}
    put_device(root, "0000:3d:00.0", odd, "nvidia", "18")
    put_device(
        root, "0000:5e:00.0", {0: (0xD0000000, 16 << 10)}, "nvme", "18", "144d:a80a",
        flags=MEM | MEM64,
    )  # fmt: skip
