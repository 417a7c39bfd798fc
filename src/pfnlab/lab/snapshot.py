"""Snapshots of guests that wait for a job: what takes seconds to boot is there in half of one.

The memory of the guest is a file that QEMU shares while it boots.  Saved is only the state of the
devices (x-ignore-shared).  A run maps the same file privately, so that any number of runs can
start from it, and none of them writes into it.  The devices under test are plugged in after
that: their state cannot be saved, or they keep none.
"""

import os
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pfnlab.lab.errors import GuestError, LabError
from pfnlab.lab.files import digest, least_used, locked, mark, remove_abandoned
from pfnlab.lab.guest import Guest
from pfnlab.lab.qemu import CPU, PORTS, Machine, kernel_command_line

KEPT = 3  # for each kernel, the latest used
IGNORE_SHARED = [{"capability": "x-ignore-shared", "state": True}]
MIGRATING = {"none", "setup", "active", "device", "pre-switchover"}


def snapshot_name(program: str, machine: Machine, release: str) -> str:
    """Different for guests that could not be started from each other's snapshot.

    The name of the initrd is a digest of what is packed, and of the kernel.  To ask QEMU for its
    version would take as long as to start it.
    """
    key = digest(
        mark(Path(program)), machine.accelerator, CPU[machine.accelerator], os.uname().nodename,
        machine.cpus, machine.memory, kernel_command_line(machine), machine.kernel.name,
        machine.initrd.name, PORTS,
    )  # fmt: skip
    return f"{release}-{key}"


@contextmanager
def snapshot(
    program: str, machine: Machine, release: str, cache: Path, deadline: float
) -> Iterator[Path]:
    """The folder of a snapshot, made if there is none; it is not removed inside of the block."""
    folder = cache / "snapshots" / snapshot_name(program, machine, release)
    lock = Path(f"{folder}.lock")
    while True:
        with locked(lock, shared=True):
            if folder.exists():  # somebody may have removed it, damaged, as soon as it was there
                os.utime(folder)
                yield folder
                return
        with locked(lock):
            if not folder.exists():
                make(program, machine, folder, deadline)
                remove_old(folder, release)
        remove_abandoned(folder.parent)


def make(program: str, machine: Machine, folder: Path, deadline: float) -> None:
    """Boot, and save the guest that waits.  The caller holds the lock of the folder."""
    partial = Path(f"{folder}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        free = shutil.disk_usage(partial).free
        if free < machine.memory // 2:
            raise LabError(
                f"no space for a snapshot in {folder.parent}: {free >> 20:,} MiB of "
                f"{machine.memory >> 21:,} MiB; free some, or use --no-snapshot"
            )
        with Guest(program, machine, deadline, ram=partial / "ram", share=True) as guest:
            guest.wait_until_ready()
            guest.qmp.do("migrate-set-capabilities", capabilities=IGNORE_SHARED)
            guest.qmp.do("stop")
            guest.qmp.do("migrate", uri=f"exec:cat >{shlex.quote(str(partial / 'state'))}")
            status = guest.qmp.wait_while("query-migrate", MIGRATING)
            if status != "completed":
                raise GuestError(f"the guest could not be saved: {status}")
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def restore(guest: Guest, folder: Path) -> None:
    """Load the saved state into a guest that was started with `incoming`, and let it run."""
    guest.qmp.do("migrate-set-capabilities", capabilities=IGNORE_SHARED)
    guest.qmp.do("migrate-incoming", uri=f"exec:cat {shlex.quote(str(folder / 'state'))}")
    status = guest.qmp.wait_while("query-status", {"inmigrate", "prelaunch"})
    if status != "paused":
        raise GuestError(f"the snapshot did not start: {status}")
    guest.go_on()


def remove(folder: Path) -> None:
    """Nobody can start from it any more; those who have are not disturbed."""
    shutil.rmtree(folder, ignore_errors=True)


def remove_old(newest: Path, release: str) -> None:
    """Snapshots of a kernel that were not used for the longest."""
    folders = [path for path in newest.parent.glob(f"{release}-*") if path.is_dir()]
    for folder in least_used((path for path in folders if path.suffix != ".part"), KEPT):
        if folder != newest:
            with suppress(BlockingIOError), locked(Path(f"{folder}.lock"), wait=False):
                remove(folder)
