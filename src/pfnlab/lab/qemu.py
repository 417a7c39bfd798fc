"""QEMU's command line, and which accelerator it gets."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pfnlab.lab.errors import LabError

PROGRAM = "qemu-system-x86_64"
Accelerator = Literal["kvm", "tcg"]
GIB = 1 << 30
# Addresses that each port keeps for the BARs of a device.  QEMU emulates 40 bits of them, of which
# SeaBIOS 1.16.3 leaves as many free above the ports as they keep: together less than half.  Older
# ones let them begin right above memory, and not at a multiple of a BAR's size.  There is a place
# for a device that is there at boot all the same; for one that is plugged in see fits_later().
PORTS = (256 * GIB, 64 * GIB, 32 * GIB, 32 * GIB)
# Without fast strings the kernel copies and clears by eight bytes, and not by one: an emulator does
# them one by one, and takes 12% longer to boot and run a job.  Without cmpxchg16b the kernel's
# allocator does without it: QEMU 7.2 left garbage in the flags after it, in one run of seven.
# Without SMAP the kernel does not open and close user memory around each access, and without AVX
# the C library does without 32 bytes at once.  Both together are 6 to 10% of a cold run.
CPU: dict[Accelerator, str] = {"kvm": "host", "tcg": "max,-erms,-fsrm,-cx16,-smap,-avx,-avx2"}
FIRST_SLOT = 0x10  # of the root ports, on bus 0
# no_timer_check: under load the check that the timer ticks fails, and the kernel panics.
# transparent_hugepage: a guest with little memory would begin with "never".
# rcu_expedited: probes that come and go would wait for RCU, 0.2 s a run.
# init_on_alloc: by emulation a tenth of all time would go into clearing what is written next.
# highres, nohz: a tick that comes by itself is cheaper than one that is asked for each time.
APPEND = (
    "console=ttyS0 panic=-1 intel_iommu=on mitigations=off no_timer_check "
    "transparent_hugepage=always rcupdate.rcu_expedited=1 init_on_alloc=0 highres=off nohz=off"
)
# Of /init, which is Python: to compile a script that calls the module takes 0.1 s by emulation.
INIT_ARGUMENTS = "-- -IS /lab/begin.pyc"
# With two emulated CPUs 6.12 crashed in one boot of six, in sched_clock_idle_wakeup_event(), which
# the kernel patches when it finds the clock stable; so it is told that it is not.
SEVERAL_CPUS = "tsc=unstable"


@dataclass(frozen=True)
class Device:
    """A device to plug in: a model of QEMU with its properties; sizes in bytes.

    memory  the size of the memory behind the BAR, for a model that needs some (ivshmem-plain)
    """

    model: str
    properties: dict[str, str | int | bool] = field(default_factory=dict)
    memory: int = 0

    @property
    def bar(self) -> int:
        """The size of its BAR."""
        return self.memory or int(self.properties.get("membar", 0))


def fits_later(devices: Sequence[Device]) -> bool:
    """Whether there is an address for each, wherever the range of its port begins."""
    return all(device.bar * 2 <= size for device, size in zip(devices, PORTS, strict=False))


@dataclass(frozen=True)
class Machine:
    """What a guest is made of.  `memory` is in bytes."""

    kernel: Path
    initrd: Path
    accelerator: Accelerator = "tcg"
    cpus: int = 1
    memory: int = GIB
    append: str = ""


def port_address(number: int) -> str:
    """Of a root port, as the guest's sysfs has it."""
    return f"0000:00:{FIRST_SLOT + number:02x}.0"


def find_qemu(program: str = PROGRAM) -> str:
    """The path of QEMU, or LabError with the package to install."""
    found = shutil.which(program)
    if found is None:
        raise LabError(f"no {program} here: install the package qemu-system-x86")
    return found


def version(program: str) -> str:
    """As "7.2.22"; raises LabError if it does not run."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise LabError(f"{program} does not run: {error}") from error
    found = re.search(r"version (\S+)", done.stdout)
    return found[1] if found else done.stdout.strip()


def best_accelerator(kvm: str = "/dev/kvm", cpuinfo: str = "/proc/cpuinfo") -> Accelerator:
    """KVM where it can be opened and the CPU has what it needs.

    That it opens proves nothing: under some hypervisors it does, and a guest hangs.
    """
    if not os.access(kvm, os.R_OK | os.W_OK):
        return "tcg"
    text = Path(cpuinfo).read_text(encoding="utf-8", errors="replace")
    return "kvm" if re.search(r"^flags\b.*\b(?:vmx|svm)\b", text, re.MULTILINE) else "tcg"


def command_line(
    program: str, machine: Machine, sockets: dict[str, int], ram: Path | None, share: bool
) -> list[str]:
    """`sockets` has the file descriptors of "console", "channel" and "qmp".

    ram    the file that is the guest's memory, and `share` says whether what the guest writes
           goes into the file; None for memory that is nobody else's
    """
    backend = f"id=ram,size={machine.memory}"
    if ram is None:
        backend = f"memory-backend-ram,{backend}"
    else:
        path = str(ram).replace(",", ",,")
        backend = f"memory-backend-file,{backend},mem-path={path},share={_on(share)}"
    accelerator = machine.accelerator
    command = [
        program,
        *("-machine", f"q35,accel={accelerator},kernel-irqchip=split,memory-backend=ram"),
        *("-object", backend),
        *("-m", f"{machine.memory}B"),
        *("-cpu", CPU[accelerator]),
        *("-smp", str(machine.cpus)),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-kernel", str(machine.kernel), "-initrd", str(machine.initrd)),
        *("-append", kernel_command_line(machine)),
        *("-device", "intel-iommu,intremap=on"),
    ]
    for name, fd in sockets.items():
        command += ["-chardev", f"socket,id={name},fd={fd}"]
    command += ["-serial", "chardev:console", "-serial", "chardev:channel"]
    command += ["-mon", "chardev=qmp,mode=control"]
    for number, size in enumerate(PORTS):
        slot = FIRST_SLOT + number
        command += [
            "-device",
            f"pcie-root-port,id=port{number},addr={slot:#x},chassis={number + 1},slot={number + 1},"
            f"pref64-reserve={size}B",
        ]
    return command


def kernel_command_line(machine: Machine) -> str:
    several = SEVERAL_CPUS if machine.cpus > 1 else ""
    words = [APPEND, several, machine.append, INIT_ARGUMENTS]
    return " ".join(word for word in words if word)


def _on(value: bool) -> str:
    return "on" if value else "off"
