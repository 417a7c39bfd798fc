"""The initrd of a guest, packed once for each kernel and kept in the cache."""

import json
import os
from contextlib import suppress
from pathlib import Path

from pfnlab.host.errors import HostError
from pfnlab.lab.files import digest, least_used, mark, written
from pfnlab.lab.guest_python import guest_python, interpreter, recipe
from pfnlab.lab.initrd import FOLDER, Entry, archive
from pfnlab.lab.kernels import KernelImage
from pfnlab.lab.modules import Module, load_order
from pfnlab.lab.vmlinux import btf_of

KEPT = 8  # of 13 MB each
MODULES = ("vfio-pci", "vfio_iommu_type1")
EMPTY_FOLDERS = ("dev", "proc", "run", "sys", "tmp")


def packed_initrd(kernel: KernelImage, image: Path, cache: Path) -> Path:
    """The initrd, from the cache if nothing that is in it has changed.  Raises LabError.

    `image` is the kernel unpacked, as fastest_image() has it.
    """
    key = digest(mark(interpreter()), *recipe(), _kernel_mark(kernel))
    path = cache / "initrd" / f"{key}.cpio"
    if not path.exists():
        data = archive(_entries(kernel, image))
        with written(path) as file:
            file.write(data)
        for old in least_used(path.parent.glob("*.cpio"), KEPT):
            old.unlink(missing_ok=True)
    os.utime(path)
    return path


def _entries(kernel: KernelImage, image: Path) -> list[Entry]:
    found = [] if kernel.modules is None else load_order(kernel.modules, MODULES)
    modules = {f"lib/modules/{kernel.release}/{each.path}": each.data for each in found}
    entries = [Entry(name, mode=FOLDER) for name in EMPTY_FOLDERS]
    entries += [
        Entry("lab/modules", "".join(f"/{path}\n" for path in modules).encode()),
        Entry("lab/known", json.dumps(_known(image, found)).encode()),
    ]
    entries += [Entry(path, data) for path, data in modules.items()]
    return [*entries, *guest_python()]


def _known(image: Path, modules: list[Module]) -> dict[str, object]:
    """What a guest need not find out, which takes it longer: arguments of host.run.learn().

    offsets  where members of structs are, if the image tells
    design   that of the vfio-pci that the guest loads, if it is a module
    """
    from pfnlab.host.btf import Btf
    from pfnlab.host.levels import MEMBERS
    from pfnlab.host.mapping_design import CORE_MODULES, design_in

    known: dict[str, object] = {"offsets": {}}
    with suppress(HostError):
        btf = Btf(btf_of(image))
        known["offsets"] = {member: btf.offset(member) for member in MEMBERS}
    files = {Path(module.path).name: module for module in modules}
    core = next((files[name] for name in CORE_MODULES if name in files), None)
    if core is not None:
        known["design"] = design_in(Path(core.path), core.data).name
    return known


def _kernel_mark(kernel: KernelImage) -> str:
    marks = [mark(kernel.image)]
    if kernel.modules is not None:
        # A build or an unpacking of all modules writes the first one; a build of some, the others.
        some = [kernel.modules / folder for folder in ("kernel/drivers/vfio", "drivers/vfio")]
        files = [
            kernel.modules / "modules.order",
            *(f for each in some for f in each.rglob("*.ko*")),
        ]
        marks += [mark(kernel.modules), *(mark(file) for file in sorted(files) if file.exists())]
    return " ".join(marks)
