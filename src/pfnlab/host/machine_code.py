"""x86-64 machine code, kept as a listing that people can read.

A line is a label or `hex bytes  ; instruction  # what is meant`.  There is no assembler where
pfnlab runs; a test disassembles every listing, and compares each instruction with its text.
"""

import ctypes

from pfnlab.host import memory
from pfnlab.workload import PAGE


def bytes_of(listing: str) -> bytes:
    lines = listing.splitlines()
    return bytes.fromhex("".join([line.partition(";")[0] for line in lines if ";" in line]))


def place_of(listing: str, label: str) -> int:
    """How many bytes are before a label."""
    return len(bytes_of(listing.partition(f"\n{label}:\n")[0]))


def make_executable(page: int, code: bytes) -> None:
    """Fill a page with code, which cannot be written any more."""
    ctypes.memmove(page, code, len(code))
    memory.mprotect(page, PAGE, memory.PROT_READ | memory.PROT_EXEC)


def imm64(value: int) -> str:
    return value.to_bytes(8, "little").hex()
