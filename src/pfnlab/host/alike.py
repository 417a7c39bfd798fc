"""How many entries of page tables go on as the first of them does, by x86-64 machine code.

A BAR of 4 GiB has a million of them, and Python is slow by the entry.
"""

import ctypes
import os
from collections.abc import Callable
from functools import cache

from pfnlab.host import memory
from pfnlab.host.machine_code import bytes_of, make_executable
from pfnlab.workload import PAGE


def pair(offset: int) -> str:
    """Two entries: rax gets the bits by which they are not as expected."""
    return f"""
    4c8b57{offset:02x}      ; mov r10, [rdi + {offset}]
    4d31ca        ; xor r10, r9
    4c09d0        ; or rax, r10
    4d8d1411      ; lea r10, [r9 + rdx]
    4c3357{offset + 8:02x}      ; xor r10, [rdi + {offset + 8}]
    4c09d0        ; or rax, r10
    4d8d0c51      ; lea r9, [r9 + rdx*2]"""


# Eight entries at once, as jumps are what an emulated CPU is slow at.
ALIKE = f"""
    4c8b0f        ; mov r9, [rdi]
    56            ; push rsi
    41bb40000000  ; mov r11d, 64  # eights to the end of a table
EIGHT:
    4883fe08      ; cmp rsi, 8
    0f8294000000  ; jb ONE
    31c0          ; xor eax, eax
{pair(0)}
{pair(16)}
{pair(32)}
{pair(48)}
    4885c8        ; test rax, rcx
    751f          ; jne BACK
    4883c740      ; add rdi, 64
    4883ee08      ; sub rsi, 8
    41ffcb        ; dec r11d
    0f857affffff  ; jne EIGHT
    41bb40000000  ; mov r11d, 64
    4c01c7        ; add rdi, r8
    e96cffffff    ; jmp EIGHT
BACK:
    4989d2        ; mov r10, rdx
    49c1e203      ; shl r10, 3
    4d29d1        ; sub r9, r10
ONE:
    4885f6        ; test rsi, rsi
    7417          ; je DONE
    4c8b17        ; mov r10, [rdi]
    4d31ca        ; xor r10, r9
    4985ca        ; test r10, rcx
    750c          ; jne DONE
    4901d1        ; add r9, rdx
    4883c708      ; add rdi, 8
    48ffce        ; dec rsi
    ebe4          ; jmp ONE
DONE:
    58            ; pop rax
    4829f0        ; sub rax, rsi
    c3            ; ret
"""


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
    make_executable(page, bytes_of(ALIKE))
    return ctypes.CFUNCTYPE(ctypes.c_uint64, *(ctypes.c_uint64,) * 5)(page)
