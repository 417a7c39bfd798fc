"""mmap() at an address that is chosen: what Python's own mmap cannot do.

A window lies where its Window.place says.  It shares no 1 GiB of the address space with
anything else of the process, so all page tables below its PUDs are its own.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pfnlab.host.errors import HostError
from pfnlab.workload import PAGE, Advice, Place

PMD = 2 << 20
PUD = 1 << 30

PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC = 0, 1, 2, 4
MAP_SHARED = 0x01
MAP_PRIVATE = 0x02
MAP_FIXED = 0x10
MAP_ANONYMOUS = 0x20
MAP_NORESERVE = 0x4000
MAP_FIXED_NOREPLACE = 0x100000
MREMAP_MAYMOVE_FIXED = 1 | 2
MADV = {"hugepage": 14, "nohugepage": 15}

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
]  # fmt: skip
_libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_libc.mremap.restype = ctypes.c_void_p
_libc.mremap.argtypes = [
    ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_int, ctypes.c_void_p,
]  # fmt: skip
_FAILED = ctypes.c_void_p(-1).value


def mmap(
    address: int,
    size: int,
    prot: int = PROT_READ | PROT_WRITE,
    flags: int = MAP_PRIVATE | MAP_ANONYMOUS,
    descriptor: int = -1,
    offset: int = 0,
) -> int:
    """The address; raises OSError.  With address 0 the kernel chooses one."""
    found = _libc.mmap(address or None, size, prot, flags, descriptor, offset)
    if found == _FAILED:
        raise _error("mmap")
    assert isinstance(found, int)
    return found


def munmap(address: int, size: int) -> None:
    if _libc.munmap(address, size):
        raise _error("munmap")


def mprotect(address: int, size: int, prot: int) -> None:
    if _libc.mprotect(address, size, prot):
        raise _error("mprotect")


def madvise(address: int, size: int, advice: Advice) -> None:
    if _libc.madvise(address, size, MADV[advice]):
        raise _error(f"madvise {advice}")


def _error(what: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{what}: {os.strerror(number)}")


def place_address(lowest: int, physical: int, place: Place) -> int:
    """The first address from `lowest` on that is to `physical` as the place says.

    See workload.Window; "natural" is no place that can be chosen.
    """
    beside = {"1g": 0, "2m": PMD, "4k": PAGE}[place]
    return lowest + (physical + beside - lowest) % PUD


@contextmanager
def reserved(size: int, physical: int, place: Place) -> Iterator[int]:
    """An address for `size` bytes, in a range that nobody else is given meanwhile.

    Afterwards these bytes are the caller's, who maps over them with MAP_FIXED; the rest of the
    range is free again.  After an exception all of it is.
    """
    length = size + 3 * PUD
    try:
        start = mmap(0, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE)
    except OSError as error:
        raise HostError(f"no {length:#x} bytes of address space are free: {error}") from error
    address = place_address(-(-start // PUD) * PUD, physical, place)
    try:
        yield address
    except BaseException:
        munmap(start, length)
        raise
    if address > start:
        munmap(start, address - start)
    munmap(address + size, start + length - address - size)


@dataclass
class Mapping:
    """A part of a device that is mapped.  After munmap() `address` is 0."""

    address: int
    size: int

    @property
    def end(self) -> int:
        return self.address + self.size

    def unmap(self) -> None:
        if self.address:
            munmap(self.address, self.size)
            self.address = 0

    def move(self, address: int = 0) -> None:
        """mremap() of all of it; by default to where it agrees with the old one modulo 1 GiB."""
        if address:
            self.address = self._moved_to(address)
            return
        with reserved(self.size, self.address, "1g") as free:
            self.address = self._moved_to(free)

    def _moved_to(self, address: int) -> int:
        found = _libc.mremap(self.address, self.size, self.size, MREMAP_MAYMOVE_FIXED, address)
        if found == _FAILED:
            raise _error("mremap")
        assert found == address
        return address


def map_device(
    descriptor: int, offset: int, size: int, physical: int, place: Place = "1g", address: int = 0
) -> Mapping:
    """Map part of a device file, shared.

    `physical` is where it is on the bus.  An `address` is taken as it is, and is an error
    if something is there.
    """
    prot = PROT_READ | PROT_WRITE
    if address:
        found = mmap(address, size, prot, MAP_SHARED | MAP_FIXED_NOREPLACE, descriptor, offset)
        if found != address:
            munmap(found, size)
            raise HostError(f"something is mapped at {address:#x} already")
        return Mapping(found, size)
    if place == "natural":
        return Mapping(mmap(0, size, prot, MAP_SHARED, descriptor, offset), size)
    with reserved(size, physical, place) as free:
        return Mapping(mmap(free, size, prot, MAP_SHARED | MAP_FIXED, descriptor, offset), size)
