"""The sweep and the signal handler of access.py, in x86-64 machine code.

    sweep(rdi address, rsi count, rdx stride)
        reads 4 bytes at each address; the result has the number of SIGBUS in its lower half
        and that of SIGSEGV in its upper half

    handler(edi signal, rsi siginfo, rdx ucontext)
        for a fault of the read in sweep: count it, and go on behind the read.  Any other
        signal has the effect that it had before: a handler is jumped to; the default, or to
        ignore, is installed again, and the fault repeats, or a signal that was sent is sent
        again to this thread

There are no other instructions that may fault, so threads can sweep at the same time.
"""

import struct
from dataclasses import dataclass

# A struct kernel_sigaction for SIGBUS, and one for SIGSEGV behind it: handler, flags, restorer,
# mask.
OLD_ACTION = struct.Struct("<4Q")

READ = 0x07
SKIP = 0x0A


def sweep_code() -> bytes:
    return bytes.fromhex(
        "31c0"        # xor eax, eax
        "4885f6"      # test rsi, rsi
        "740b"        # je ret
        "448b07"      # READ: mov r8d, [rdi]
        "4801d7"      # SKIP: add rdi, rdx
        "48ffce"      # dec rsi
        "75f5"        # jne READ
        "c3"          # ret
        "4801c8"      # COUNT: add rax, rcx
        "ebf2"        # jmp SKIP
    )  # fmt: skip


COUNT = 0x13


def handler_code(read: int, count: int, old_actions: int) -> bytes:
    """`read` and `count` are addresses in sweep; `old_actions` that of two OLD_ACTION."""
    return bytes.fromhex(
        f"48b8{imm64(read)}"         # mov rax, READ
        "483982a8000000"             # cmp [rdx + RIP], rax
        "752d"                       # jne other
        "837e0800"                   # cmp dword [rsi + si_code], 0
        "7e27"                       # jle other: it was sent
        "b801000000"                 # mov eax, 1
        "83ff07"                     # cmp edi, SIGBUS
        "7404"                       # je .
        "48c1e020"                   # shl rax, 32
        "48898298000000"             # mov [rdx + RCX], rax
        f"48b8{imm64(count)}"        # mov rax, COUNT
        "488982a8000000"             # mov [rdx + RIP], rax
        "c3"                         # ret
        f"48b8{imm64(old_actions)}"  # other: mov rax, old_actions
        "83ff07"                     # cmp edi, SIGBUS
        "7404"                       # je .
        "4883c020"                   # add rax, sizeof(OLD_ACTION)
        "488b08"                     # mov rcx, [rax]
        "4883f901"                   # cmp rcx, SIG_IGN
        "7744"                       # ja jump
        "7206"                       # jb default
        "837e0800"                   # cmp dword [rsi + si_code], 0
        "7e3b"                       # jle ret: sent, and ignored
        "57"                         # default: push rdi
        "56"                         # push rsi
        "4889c6"                     # mov rsi, rax
        "31d2"                       # xor edx, edx
        "41ba08000000"               # mov r10d, sizeof(mask)
        "b80d000000"                 # mov eax, rt_sigaction
        "0f05"                       # syscall
        "5e"                         # pop rsi
        "4158"                       # pop r8
        "837e0800"                   # cmp dword [rsi + si_code], 0
        "7f1e"                       # jg ret: the fault repeats
        "b827000000" "0f05"          # getpid
        "4889c7"                     # mov rdi, rax
        "b8ba000000" "0f05"          # gettid
        "4889c6"                     # mov rsi, rax
        "4c89c2"                     # mov rdx, r8
        "b8ea000000" "0f05"          # tgkill
        "c3"                         # ret
        "ffe1"                       # jump: jmp rcx
    )  # fmt: skip


def imm64(value: int) -> str:
    return struct.pack("<Q", value).hex()


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
        return self.code + 64

    def bytes_of_code(self) -> bytes:
        handler = handler_code(self.code + READ, self.code + COUNT, self.old_actions)
        return sweep_code().ljust(64, b"\xcc") + handler
