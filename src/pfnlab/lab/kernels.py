"""Find a kernel: a path to a bzImage, a vmlinux, a built tree or an unpacked package, or a version.

6.12                  the newest of the series among those that are here
6.12.95               that release
6.12.95+deb12-amd64   the name by which uname has it
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pfnlab.host.machine import source_version
from pfnlab.lab.errors import LabError
from pfnlab.lab.vmlinux import banner, check_whole

VERSION = re.compile(r"\d+\.\d+(?:[.\-+~]\S*)?")
IMAGES = (
    "boot/vmlinuz-*",
    "boot/vmlinux-*",
    "usr/lib/modules/*/vmlinuz",
    "lib/modules/*/vmlinuz",
)
BUILT = ("arch/x86/boot/bzImage", "vmlinux")


@dataclass(frozen=True)
class KernelImage:
    """A kernel to boot.

    image    a bzImage or vmlinux
    modules  the folder that has its modules, or None if it has none, as all are built in
    release  as uname prints it, "6.1.0-56-amd64"
    version  of the source, "6.1.192"; a distribution may not count in its release names
    """

    image: Path
    modules: Path | None
    release: str
    version: str

    @property
    def order(self) -> tuple[int, ...]:
        return version_order(self.version)


def version_order(version: str) -> tuple[int, ...]:
    """So that 6.9 comes before 6.12; numbers only."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def looks_like_a_version(text: str) -> bool:
    return VERSION.fullmatch(text) is not None


def matches(wanted: str, release: str, version: str) -> bool:
    """Whether a kernel is meant by `wanted`: its release, its version, or its series."""
    return wanted == release or f"{version}.".startswith(f"{wanted}.")


def kernel_at(path: Path) -> KernelImage:
    """The kernel at a path, the newest if there are several.  Raises LabError."""
    if not path.exists():
        raise LabError(f"no kernel at {path}: there is no such file")
    if path.is_file():
        return _described(path, _modules_of(path))
    for name in BUILT:
        if (path / name).is_file():
            return _described(path / name, path)
    images = [found for pattern in IMAGES for found in path.glob(pattern)]
    if not images:
        raise LabError(f"no kernel in {path}: neither a built tree nor an unpacked package")
    return max((_described(image, _modules_of(image)) for image in images), key=_by_order)


def kernels_here(cache: Path, host: Path = Path("/")) -> list[KernelImage]:
    """Those that were fetched into the cache, and those of this host; the newest last."""
    folders = sorted(path for path in (cache / "kernels").glob("*") if path.suffix != ".part")
    found = [kernel for folder in folders if folder.is_dir() for kernel in _readable(folder)]
    known = {kernel.release for kernel in found}
    for image in sorted(host.glob("boot/vmlinuz-*")):
        found += [kernel for kernel in _readable(image) if kernel.release not in known]
    return sorted(found, key=_by_order)


def find_kernel(wanted: str, cache: Path, host: Path = Path("/")) -> KernelImage | None:
    """By path or version; None for a version that is not here.  Raises LabError for a bad path."""
    if "/" in wanted or Path(wanted).exists():
        return kernel_at(Path(wanted))
    if not looks_like_a_version(wanted):
        raise LabError(f"{wanted!r} is neither the path of a kernel nor a version such as 6.12")
    found = [
        kernel
        for kernel in kernels_here(cache, host)
        if matches(wanted, kernel.release, kernel.version)
    ]
    return found[-1] if found else None


def _by_order(kernel: KernelImage) -> tuple[tuple[int, ...], str]:
    return kernel.order, kernel.release


def _readable(path: Path) -> Iterator[KernelImage]:
    """The kernel at a path, if it is one that can be read."""
    try:
        yield kernel_at(path)
    except (LabError, OSError):
        return


def _described(image: Path, modules: Path | None) -> KernelImage:
    check_whole(image)
    text = banner(image)
    release = text.split(" ", 1)[0] or image.name.partition("-")[2]
    if not release:
        raise LabError(f"{image}: it does not say which release it is")
    # "6.1.0-56-amd64 (...) #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-10-01)"
    # What `uname -v` prints begins with the #; a compiler named before it has a version, too.
    return KernelImage(
        image.resolve(), modules, release, source_version(release, text.partition("#")[2])
    )


def _modules_of(image: Path) -> Path | None:
    """Beside the image, or in the lib/modules of the folder that its boot/ is in."""
    folder = image.resolve().parent
    if (folder / "kernel").is_dir():
        return folder
    release = image.name.partition("-")[2]
    for base in ("lib/modules", "usr/lib/modules"):
        found = folder.parent / base / release
        if release and found.is_dir():
            return found.resolve()
    # arch/x86/boot/bzImage of a built tree
    if folder.parts[-3:] == ("arch", "x86", "boot"):
        return folder.parents[2]
    return None
