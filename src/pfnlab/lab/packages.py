"""Kernels as packages: what a mirror of Debian has, and to fetch one into the cache.

apt runs with lists, sources and a download folder of its own.  Nothing is installed, and the
host's own state stays as it is.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pfnlab.lab.errors import LabError
from pfnlab.lab.files import locked, remove_abandoned
from pfnlab.lab.kernels import KernelImage, kernel_at, matches, version_order
from pfnlab.lab.sources import fields, mirrors_of, sources_text

FRESH = 24 * 3600  # seconds for which lists are good enough
IMAGE = r"^linux-image-[0-9].*-amd64$"
OTHER_KINDS = re.compile(r"-(?:cloud|rt|dbg|unsigned)\b")

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Available:
    """A kernel that can be fetched.

    packages  all that make it up: from 6.19 on its image and its modules are packages of their own
    size      of all of them together, packed, in bytes
    """

    release: str
    package_version: str
    packages: tuple[str, ...]
    size: int

    @property
    def version(self) -> str:
        found = re.match(r"\d+\.\d+(?:\.\d+)?", self.package_version)
        return found[0] if found else self.package_version

    @property
    def order(self) -> tuple[tuple[int, ...], bool, tuple[int, ...]]:
        """A release candidate comes before the release."""
        numbers = (*version_order(self.version), 0)[:3]
        return numbers, "~rc" not in self.package_version, version_order(self.package_version)


class Apt:
    """apt-get and apt-cache, with their state in `folder`."""

    def __init__(self, folder: Path, *, every_suite: bool) -> None:
        for tool in ("apt-get", "apt-cache", "dpkg-deb"):
            if shutil.which(tool) is None:
                raise LabError(f"no {tool} here to fetch kernels with: give a path to a kernel")
        name = "every" if every_suite else "own"
        self._sources = folder / f"{name}.sources"
        self._updated = folder / f"{name}.updated"
        for needed in ("lists/partial", "cache/archives/partial"):
            (folder / needed).mkdir(parents=True, exist_ok=True)
        text = sources_text(mirrors_of(), every_suite=every_suite)
        if not self._sources.exists() or self._sources.read_text(encoding="utf-8") != text:
            self._sources.write_text(text, encoding="utf-8")
            self._updated.unlink(missing_ok=True)
        self._options = [
            word
            for option in (
                f"Dir::State::Lists={folder / 'lists'}",
                f"Dir::Cache={folder / 'cache'}",
                # Containers are often told to keep none, and each call then reads all lists again.
                f"Dir::Cache::pkgcache={name}.pkgcache.bin",
                f"Dir::Cache::srcpkgcache={name}.srcpkgcache.bin",
                f"Dir::Etc::SourceList={self._sources}",
                "Dir::Etc::SourceParts=/dev/null",
                "Acquire::Languages=none",
                "Acquire::Check-Valid-Until=false",  # a mirror that lags behind has kernels, too
                "APT::Get::List-Cleanup=false",  # both kinds of sources share the lists
                "APT::Architecture=amd64",
                "APT::Sandbox::User=",  # its user may not enter somebody's cache
            )
            for word in ("-o", option)
        ]

    def update(self, tell: Tell) -> None:
        """Fetch the lists unless they are fresh.  Raises LabError if that is impossible."""
        if self._updated.exists() and time.time() - self._updated.stat().st_mtime < FRESH:
            return
        tell("fetching the lists of packages")
        # A suite that a mirror does not have is no failure, and is only reported as one.
        self._run("apt-get", "update", "-q", "--error-on=any", lenient=True)
        if not self._run("apt-cache", "search", "--names-only", IMAGE).strip():
            raise LabError("no lists of packages could be fetched: is there a network?")
        self._updated.touch()

    def available(self) -> list[Available]:
        """All kernels in the lists, the newest last."""
        found = self._run("apt-cache", "search", "--names-only", IMAGE)
        names = [line.split(" ", 1)[0] for line in found.splitlines()]
        names = [name for name in names if not OTHER_KINDS.search(name)]
        if not names:
            return []
        images = [each for each in self._show(names) if "linux-image-" not in each["Depends"]]
        parts = {name for image in images for name in _parts(image)}
        sizes = {each["Package"]: int(each["Size"]) for each in self._show(sorted(parts))}
        kernels: dict[str, Available] = {}
        for image in images:
            parts_here = tuple(name for name in _parts(image) if name in sizes)
            # Of an old one the mirror may have dropped a part.  Nothing to boot is in the base.
            if any("linux-base-" not in name for name in set(_parts(image)) - set(parts_here)):
                continue
            packages = (image["Package"], *parts_here)
            size = int(image["Size"]) + sum(sizes[name] for name in parts_here)
            release = image["Package"].removeprefix("linux-image-")
            each = Available(release, image["Version"], packages, size)
            before = kernels.get(release)
            if before is None or before.order < each.order:
                kernels[release] = each
        return sorted(kernels.values(), key=lambda each: each.order)

    def download(
        self, packages: tuple[str, ...], folder: Path, progress: Callable[[], None]
    ) -> None:
        """Packages as files in a folder; `progress` is called all the time."""
        command = ["apt-get", *self._options, "-qq", "download", *packages]
        with subprocess.Popen(
            command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                while True:
                    try:
                        _, said = process.communicate(timeout=0.3)
                        break
                    except subprocess.TimeoutExpired:
                        progress()
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            raise LabError(f"cannot fetch {packages[0]}: {_reason(said)}")

    def _show(self, names: list[str]) -> list[dict[str, str]]:
        if not names:
            return []
        text = self._run("apt-cache", "show", *names, lenient=True)
        stanzas = [fields(stanza) for stanza in text.split("\n\n")]
        return [{"Depends": "", **each} for each in stanzas if "Package" in each and "Size" in each]

    def _run(self, tool: str, *arguments: str, lenient: bool = False) -> str:
        command = [tool, *self._options, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode and not lenient:
            raise LabError(f"{tool}: {_reason(done.stderr)}")
        return done.stdout


def available_kernels(cache: Path, tell: Tell) -> list[Available]:
    """All that can be fetched.  Raises LabError where that cannot be found out."""
    return _up_to_date(cache, tell, every_suite=True).available()


def fetch(wanted: str, cache: Path, tell: Tell) -> KernelImage:
    """The newest kernel of a version that can be had, fetched into the cache unless it is there.

    The host's own suites are asked first, whose lists are short.  Raises LabError if no suite has
    it, there is no network or no apt; a part of a kernel is never left behind.
    """
    for every_suite in (False, True):
        apt = _up_to_date(cache, tell, every_suite=every_suite)
        found = [each for each in apt.available() if matches(wanted, each.release, each.version)]
        if found:
            return _fetch(apt, found[-1], cache, tell)
    raise LabError(f"no package of a kernel {wanted} can be had: see pfnlab lab kernels")


def _up_to_date(cache: Path, tell: Tell, *, every_suite: bool) -> Apt:
    with locked(cache / "apt" / "lock"):
        apt = Apt(cache / "apt", every_suite=every_suite)
        apt.update(tell)
    return apt


def _fetch(apt: Apt, kernel: Available, cache: Path, tell: Tell) -> KernelImage:
    folder = cache / "kernels" / kernel.release
    partial = folder.with_name(f"{kernel.release}.part")
    with locked(folder.with_name(f"{kernel.release}.lock")):
        image = _whole(folder)
        if image is None:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(partial, ignore_errors=True)
            (partial / "unpacked").mkdir(parents=True)
            try:
                apt.download(kernel.packages, partial, lambda: _tell_size(kernel, partial, tell))
                for package in sorted(partial.glob("*.deb")):
                    tell(f"unpacking {package.name}")
                    _unpack(package, partial / "unpacked")
                kernel_at(partial / "unpacked")  # it is whole
                (partial / "unpacked").rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    remove_abandoned(folder.parent)
    return image or kernel_at(folder)


def _whole(folder: Path) -> KernelImage | None:
    """The kernel in a folder of the cache; None if there is none, or a damaged one."""
    try:
        return kernel_at(folder)
    except LabError:
        return None


def _tell_size(kernel: Available, folder: Path, tell: Tell) -> None:
    done = sum(path.stat().st_size for path in folder.glob("*.deb*"))
    tell(f"fetching {kernel.release}: {done >> 20} of {kernel.size >> 20} MiB")


def _unpack(package: Path, folder: Path) -> None:
    done = subprocess.run(
        ["dpkg-deb", "-x", str(package), str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LabError(f"cannot unpack {package.name}: {_reason(done.stderr)}")


def _parts(image: dict[str, str]) -> Iterator[str]:
    """Packages that have the files of a kernel whose own package has none."""
    yield from re.findall(r"\blinux-(?:base|binary|modules)-\d[^\s,]*", image["Depends"])


def _reason(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith(("E:", "dpkg-deb: error"))]
    return (lines or text.strip().splitlines() or ["it did not say why"])[-1]
