"""The sweep and the signal handler of access.py, in x86-64 machine code.

    sweep(rdi address, rsi count, rdx stride, rcx usages)
        reads 4 bytes at each address; the result has the number of SIGBUS in its lower half
        and that of SIGSEGV in its upper half.  `usages` are two struct rusage, that of this thread
        before and after: here, as Python in between would now and then fault on a page of its own

    handler(edi signal, rsi siginfo, rdx ucontext)
        for a fault of the read in sweep: count it, and go on behind the read.  Any other
        signal has the effect that it had before: a handler is jumped to; the default, or to
        ignore, is installed again, and the fault repeats, or a signal that was sent is sent
        again to this thread

There are no other instructions that may fault, so threads can sweep at the same time.
"""

import struct
from dataclasses import dataclass

from pfnlab.host.machine_code import bytes_of, imm64, place_of

# A struct kernel_sigaction for SIGBUS, and one for SIGSEGV behind it: handler, flags, restorer,
# mask.
OLD_ACTION = struct.Struct("<4Q")

SWEEP = """
    4989c9          ; mov r9, rcx
    57              ; push rdi
    56              ; push rsi
    bf01000000      ; mov edi, 1  # RUSAGE_THREAD
    4c89ce          ; mov rsi, r9
    b862000000      ; mov eax, 98  # getrusage
    0f05            ; syscall
    5e              ; pop rsi
    5f              ; pop rdi
    31c0            ; xor eax, eax
    4885f6          ; test rsi, rsi
    740b            ; je DONE
READ:
    448b07          ; mov r8d, [rdi]
SKIP:
    4801d7          ; add rdi, rdx
    48ffce          ; dec rsi
    75f5            ; jne READ
DONE:
    50              ; push rax
    bf01000000      ; mov edi, 1
    498db190000000  ; lea rsi, [r9 + 144]  # sizeof(struct rusage)
    b862000000      ; mov eax, 98
    0f05            ; syscall
    58              ; pop rax
    c3              ; ret
COUNT:
    4801c8          ; add rax, rcx
    ebdd            ; jmp SKIP
"""
SIZE_OF_SWEEP = 128


def handler(read: int, count: int, old_actions: int) -> str:
    """`read` and `count` are addresses in sweep; `old_actions` that of two OLD_ACTION."""
    return f"""
    48b8{imm64(read)}         ; movabs rax, {read}
    483982a8000000            ; cmp [rdx + 168], rax  # RIP of the ucontext
    752d                      ; jne OTHER
    837e0800                  ; cmp dword ptr [rsi + 8], 0  # si_code
    7e27                      ; jle OTHER  # it was sent
    b801000000                ; mov eax, 1
    83ff07                    ; cmp edi, 7  # SIGBUS
    7404                      ; je COUNTED
    48c1e020                  ; shl rax, 32
COUNTED:
    48898298000000            ; mov [rdx + 152], rax  # RCX
    48b8{imm64(count)}        ; movabs rax, {count}
    488982a8000000            ; mov [rdx + 168], rax
    c3                        ; ret
OTHER:
    48b8{imm64(old_actions)}  ; movabs rax, {old_actions}
    83ff07                    ; cmp edi, 7
    7404                      ; je FOUND
    4883c020                  ; add rax, {OLD_ACTION.size}
FOUND:
    488b08                    ; mov rcx, [rax]
    4883f901                  ; cmp rcx, 1  # SIG_IGN
    7744                      ; ja JUMP
    7206                      ; jb DEFAULT
    837e0800                  ; cmp dword ptr [rsi + 8], 0
    7e3b                      ; jle RET  # sent, and ignored
DEFAULT:
    57                        ; push rdi
    56                        ; push rsi
    4889c6                    ; mov rsi, rax
    31d2                      ; xor edx, edx
    41ba08000000              ; mov r10d, 8  # sizeof(mask)
    b80d000000                ; mov eax, 13  # rt_sigaction
    0f05                      ; syscall
    5e                        ; pop rsi
    4158                      ; pop r8
    837e0800                  ; cmp dword ptr [rsi + 8], 0
    7f1e                      ; jg RET  # the fault repeats
    b827000000                ; mov eax, 39  # getpid
    0f05                      ; syscall
    4889c7                    ; mov rdi, rax
    b8ba000000                ; mov eax, 186  # gettid
    0f05                      ; syscall
    4889c6                    ; mov rsi, rax
    4c89c2                    ; mov rdx, r8
    b8ea000000                ; mov eax, 234  # tgkill
    0f05                      ; syscall
RET:
    c3                        ; ret
JUMP:
    ffe1                      ; jmp rcx
"""


@dataclass(frozen=True)
class Layout:
    """Where the pieces are, from the address of a page for code and of one for data."""

    code: int
    old_actions: int

    @property
    def sweep(self) -> int:
        return self.code

    @property
    def handler(self) -> int:
        return self.code + SIZE_OF_SWEEP

    def bytes_of_code(self) -> bytes:
        read, count = (self.code + place_of(SWEEP, label) for label in ("READ", "COUNT"))
        listing = handler(read, count, self.old_actions)
        return bytes_of(SWEEP).ljust(SIZE_OF_SWEEP, b"\xcc") + bytes_of(listing)
