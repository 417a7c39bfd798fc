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
    "4801f7"        # add rdi, rsi
    "488b37"        # mov rsi, [rdi]
    "4889d0"        # mov rax, rdx
    "41bb00020000"  # mov r11d, 512
    "4c8b17"        # NEXT: mov r10, [rdi]
    "4931f2"        # xor r10, rsi
    "4d85c2"        # test r10, r8
    "751a"          # jne DONE
    "4801ce"        # add rsi, rcx
    "4883c708"      # add rdi, 8
    "41ffcb"        # dec r11d
    "7509"          # jne .
    "41bb00020000"  # mov r11d, 512
    "4c01cf"        # add rdi, r9
    "48ffca"        # dec rdx
    "75db"          # jne NEXT
    "4829d0"        # DONE: sub rax, rdx
    "c3"            # ret
)  # fmt: skip


def alike(data: bytes, offset: int, count: int, step: int, mask: int, jump: int = 0) -> int:
    """How many of `count` entries, of 8 bytes each, are alike from the one at `offset` on: >= 1.

    step  what each is more than the one before
    mask  the bits that are compared
    jump  bytes from the end of 512 entries to where the next 512 begin

    On other CPUs it is always 1.
    """
    code = machine_code()
    return 1 if code is None else code(data, offset, count, step, mask, jump)


@cache
def machine_code() -> Callable[[bytes, int, int, int, int, int], int] | None:
    if os.uname().machine != "x86_64":
        return None
    page = memory.mmap(0, PAGE)
    ctypes.memmove(page, CODE, len(CODE))
    memory.mprotect(page, PAGE, memory.PROT_READ | memory.PROT_EXEC)
    number = ctypes.c_uint64
    kind = ctypes.CFUNCTYPE(number, ctypes.c_char_p, number, number, number, number, number)
    return kind(page)
