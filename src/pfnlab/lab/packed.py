"""The initrd of a guest, packed once for each kernel and kept in the cache."""

import json
import os
import shutil
from pathlib import Path

from pfnlab.host.btf import Btf
from pfnlab.host.errors import HostError
from pfnlab.host.levels import MEMBERS
from pfnlab.lab.errors import LabError
from pfnlab.lab.files import digest, least_used, written
from pfnlab.lab.guest_python import INSIDE, guest_python, interpreter, own_files
from pfnlab.lab.initrd import FOLDER, PROGRAM, Entry, archive
from pfnlab.lab.kernels import KernelImage
from pfnlab.lab.modules import load_order
from pfnlab.lab.vmlinux import btf_of

KEPT = 8  # of 15 MB each
MODULES = ("vfio-pci", "vfio_iommu_type1")
EMPTY_FOLDERS = ("bin", "dev", "proc", "run", "sys", "tmp")


def find_busybox() -> Path:
    """A busybox that needs no libraries, or LabError with the package to install."""
    found = shutil.which("busybox")
    if found is None:
        raise LabError("no busybox here: install the package busybox-static")
    # A program that needs the loader has the loader's name in it.
    head = Path(found).read_bytes()[:4096]
    if b"/ld-linux" in head or b"/ld-musl" in head:
        raise LabError(f"{found} needs shared libraries: install the package busybox-static")
    return Path(found)


def packed_initrd(kernel: KernelImage, image: Path, cache: Path) -> Path:
    """The initrd, from the cache if nothing that is in it has changed.  Raises LabError.

    `image` is the kernel unpacked, as fastest_image() has it.
    """
    busybox = find_busybox()
    own = {name: path.read_bytes() for name, path in own_files().items()}
    init = (INSIDE / "init").read_bytes()
    key = digest(
        _mark(interpreter()), _mark(busybox), init, *own.keys(), *own.values(), _kernel_mark(kernel)
    )
    path = cache / "initrd" / f"{key}.cpio"
    if not path.exists():
        data = archive(_entries(kernel, image, busybox, init))
        with written(path) as file:
            file.write(data)
        for old in least_used(path.parent.glob("*.cpio"), KEPT):
            old.unlink(missing_ok=True)
    os.utime(path)
    return path


def _entries(kernel: KernelImage, image: Path, busybox: Path, init: bytes) -> list[Entry]:
    python = guest_python()
    found = [] if kernel.modules is None else load_order(kernel.modules, MODULES)
    modules = {f"lib/modules/{kernel.release}/{each.path}": each.data for each in found}
    entries = [Entry(name, mode=FOLDER) for name in EMPTY_FOLDERS]
    entries += [
        Entry("init", init, PROGRAM),
        Entry("bin/busybox", busybox.read_bytes(), PROGRAM),
        Entry("lab/python", f"{python.path}\n".encode()),
        Entry("lab/modules", "".join(f"/{path}\n" for path in modules).encode()),
        Entry("lab/offsets", json.dumps(_offsets(image)).encode()),
    ]
    entries += [Entry(path, data) for path, data in modules.items()]
    return [*entries, *python.entries]


def _offsets(image: Path) -> dict[str, int]:
    """What a guest needs to know of structs, if the image tells: to find it there takes longer."""
    try:
        btf = Btf(btf_of(image))
        return {member: btf.offset(member) for member in MEMBERS}
    except HostError:
        return {}


def _kernel_mark(kernel: KernelImage) -> str:
    marks = [_mark(kernel.image)]
    if kernel.modules is not None:
        # A build or an unpacking of the modules writes this one.
        order = kernel.modules / "modules.order"
        marks += [_mark(kernel.modules), *([_mark(order)] if order.exists() else [])]
    return " ".join(marks)


def _mark(path: Path) -> str:
    """Changes when the file does."""
    status = path.stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"
