"""How many entries of page tables go on as the first of them does, by x86-64 machine code.

A BAR of 4 GiB has a million of them, and Python is slow by the entry.
"""

import ctypes
import os
from collections.abc import Callable
from functools import cache

from pfnlab.host import memory
from pfnlab.workload import PAGE

CODE = bytes.fromhex(
    "4c8b0f"        # mov r9, [rdi]
    "4889f0"        # mov rax, rsi
    "41bb00020000"  # mov r11d, 512
    "4c8b17"        # NEXT: mov r10, [rdi]
    "4d31ca"        # xor r10, r9
    "4985ca"        # test r10, rcx
    "751a"          # jne DONE
    "4901d1"        # add r9, rdx
    "4883c708"      # add rdi, 8
    "41ffcb"        # dec r11d
    "7509"          # jne .
    "41bb00020000"  # mov r11d, 512
    "4c01c7"        # add rdi, r8
    "48ffce"        # dec rsi
    "75db"          # jne NEXT
    "4829f0"        # DONE: sub rax, rsi
    "c3"            # ret
)  # fmt: skip


def alike(address: int, count: int, step: int, mask: int, jump: int = 0) -> int:
    """How many of `count` entries, of 8 bytes each, are alike from the first on: at least 1.

    step  what each is more than the one before
    mask  the bits that are compared
    jump  bytes from the end of 512 entries to where the next 512 begin

    On other CPUs it is always 1.
    """
    code = machine_code()
    return 1 if code is None else code(address, count, step, mask, jump)


@cache
def machine_code() -> Callable[[int, int, int, int, int], int] | None:
    if os.uname().machine != "x86_64":
        return None
    page = memory.mmap(0, PAGE)
    ctypes.memmove(page, CODE, len(CODE))
    memory.mprotect(page, PAGE, memory.PROT_READ | memory.PROT_EXEC)
    return ctypes.CFUNCTYPE(ctypes.c_uint64, *(ctypes.c_uint64,) * 5)(page)
