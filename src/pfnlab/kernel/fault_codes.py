"""What goes into a fault handler and what comes out.  Drawn after include/linux/mm_types.h."""

from enum import IntFlag


class vm_fault_t(IntFlag):
    """Why a fault handler returned."""

    VM_FAULT_OOM = 0x1
    VM_FAULT_SIGBUS = 0x2
    VM_FAULT_SIGSEGV = 0x40
    VM_FAULT_NOPAGE = 0x100
    VM_FAULT_RETRY = 0x400
    VM_FAULT_FALLBACK = 0x800
    VM_FAULT_COMPLETED = 0x4000


VM_FAULT_OOM = vm_fault_t.VM_FAULT_OOM
VM_FAULT_SIGBUS = vm_fault_t.VM_FAULT_SIGBUS
VM_FAULT_SIGSEGV = vm_fault_t.VM_FAULT_SIGSEGV
VM_FAULT_NOPAGE = vm_fault_t.VM_FAULT_NOPAGE
VM_FAULT_RETRY = vm_fault_t.VM_FAULT_RETRY
VM_FAULT_FALLBACK = vm_fault_t.VM_FAULT_FALLBACK
VM_FAULT_COMPLETED = vm_fault_t.VM_FAULT_COMPLETED
VM_FAULT_ERROR = VM_FAULT_OOM | VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV | VM_FAULT_FALLBACK


class FaultFlag(IntFlag):
    """What the caller of handle_mm_fault() allows."""

    FAULT_FLAG_WRITE = 0x1
    FAULT_FLAG_ALLOW_RETRY = 0x4
    FAULT_FLAG_RETRY_NOWAIT = 0x8
    FAULT_FLAG_KILLABLE = 0x10
    FAULT_FLAG_TRIED = 0x20
    FAULT_FLAG_USER = 0x40
    FAULT_FLAG_REMOTE = 0x80
    FAULT_FLAG_VMA_LOCK = 0x1000


FAULT_FLAG_WRITE = FaultFlag.FAULT_FLAG_WRITE
FAULT_FLAG_ALLOW_RETRY = FaultFlag.FAULT_FLAG_ALLOW_RETRY
FAULT_FLAG_RETRY_NOWAIT = FaultFlag.FAULT_FLAG_RETRY_NOWAIT
FAULT_FLAG_KILLABLE = FaultFlag.FAULT_FLAG_KILLABLE
FAULT_FLAG_TRIED = FaultFlag.FAULT_FLAG_TRIED
FAULT_FLAG_USER = FaultFlag.FAULT_FLAG_USER
FAULT_FLAG_REMOTE = FaultFlag.FAULT_FLAG_REMOTE
FAULT_FLAG_VMA_LOCK = FaultFlag.FAULT_FLAG_VMA_LOCK


def show_fault(code: vm_fault_t) -> str:
    """ "VM_FAULT_NOPAGE | VM_FAULT_COMPLETED"."""
    return " | ".join(flag.name or "" for flag in vm_fault_t if code & flag) or "0"


def show_fault_flags(flags: FaultFlag) -> str:
    """ "FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_USER"."""
    return " | ".join(flag.name or "" for flag in FaultFlag if flags & flag) or "0"
