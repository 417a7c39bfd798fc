"""How long a run in the lab takes, beside the bare boot of the same kernel.

    python -m bench.lab            measure, and write docs/lab.md
    python -m bench.lab --print    measure, and print it only

A bare boot is the kernel, busybox, and an init that switches off at once.  The plain one is of
the kernel file as its package has it, with the fewest options of QEMU and of the kernel.  The
fast one has all that makes runs in the lab fast: the kernel unpacked, and the same options.
Cold is `pfnlab lab run` with --no-snapshot; all take turns.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path

from bench.page import ROOT, SECTION, commit, load, machine, now, ratio, table, with_spread
from pfnlab.lab.errors import GuestError
from pfnlab.lab.files import default_cache, written
from pfnlab.lab.guest import Guest
from pfnlab.lab.initrd import FOLDER, PROGRAM, Entry, archive
from pfnlab.lab.kernels import KernelImage, find_kernel
from pfnlab.lab.qemu import GIB, Machine, best_accelerator, find_qemu, version
from pfnlab.lab.vmlinux import fastest_image

PAGE = ROOT / "docs" / "lab.md"
SERIES = ("6.1", "6.12")
WORKLOAD = "first,off,first,on,first"
BUSYBOX = Path("/bin/busybox")  # of the package busybox-static
INIT = b"#!/bin/busybox sh\n/bin/busybox poweroff -f\n"


def bare_initrd() -> Path:
    initrd = default_cache() / "initrd" / "bare.cpio"
    entries = [
        Entry("bin/busybox", BUSYBOX.read_bytes(), PROGRAM),
        Entry("init", INIT, PROGRAM),
        Entry("dev", mode=FOLDER),
    ]
    with written(initrd) as file:
        file.write(archive(entries))
    return initrd


def plain_boot(kernel: KernelImage) -> float:
    command = [
        *(find_qemu(), "-machine", f"q35,accel={best_accelerator()}", "-m", str(GIB >> 20)),
        *("-nodefaults", "-display", "none", "-no-reboot", "-serial", "stdio"),
        *("-kernel", str(kernel.image), "-initrd", str(bare_initrd())),
        *("-append", "console=ttyS0 panic=-1"),
    ]
    began = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    if b"Run /init" not in done.stdout or b"Kernel panic" in done.stdout:
        raise SystemExit(f"bench: {kernel.release} did not boot:\n{done.stdout.decode()[-2000:]}")
    return seconds


def fast_boot(kernel: KernelImage) -> float:
    image = fastest_image(kernel.image, default_cache())
    bare = Machine(image, bare_initrd(), best_accelerator())
    began = time.perf_counter()
    try:
        with Guest(find_qemu(), bare, time.monotonic() + 120) as guest:
            guest.wait_until_ready()
    except GuestError as error:
        if "exit status 0" not in str(error):
            raise
    return time.perf_counter() - began


def lab_run(kernel: KernelImage, *options: str) -> float:
    program = str(Path(sys.executable).parent / "pfnlab")
    command = [program, "lab", "run", WORKLOAD, "--kernel", kernel.release, *options]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the lab.")
    parser.add_argument("--print", action="store_true", help="do not write the page")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    load_before = load()
    lines = [
        ["kernel", "plain boot", "fast boot", "cold run", ": plain", ": fast", "from a snapshot"]
    ]
    for series in SERIES:
        kernel = find_kernel(series, default_cache())
        if kernel is None:
            raise SystemExit(f"bench: no kernel {series} here; run make lab")
        lab_run(kernel)  # packs the initrd and makes the snapshot
        plain, fast, cold, warm = [], [], [], []
        for _ in range(options.repeats):
            plain.append(plain_boot(kernel))
            fast.append(fast_boot(kernel))
            cold.append(lab_run(kernel, "--no-snapshot"))
            warm.append(lab_run(kernel))
        lines.append(
            [
                kernel.version,
                with_spread(plain, 1),
                with_spread(fast, 1),
                with_spread(cold, 1),
                ratio(cold, plain),
                ratio(cold, fast),
                with_spread(warm, 2),
            ]
        )
        print(" ".join(lines[-1]), file=sys.stderr)
    how = {"tcg": "emulation (TCG)", "kvm": "KVM"}[best_accelerator()]
    text = f"""\
Seconds of wall time, from the command to its end: `{WORKLOAD}` on a BAR of 4 GiB.

{table(lines)}

- by {how}, QEMU {version(find_qemu())}, one CPU in the guest
- machine: {machine()}; load average {load_before} before, {load()} after
- {now()}, commit {commit()}; {options.repeats} repeats in turns, median ± half the range
"""
    print(text)
    if not options.print:
        page = PAGE.read_text(encoding="utf-8")
        PAGE.write_text(SECTION.sub(lambda found: found[1] + text + found[2], page), "utf-8")


if __name__ == "__main__":
    main()
