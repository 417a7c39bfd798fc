"""python -m pfnlab.host.trace_job: trace a scenario on a device; its order is a line of stdin.

    {"devices": ["0000:10:00.0"], "scenario": "one", "bar": 2}

one    open, mmap, touch, memory off, touch, memory on, touch, fork, touch in the child, munmap
race   one thread touches all over the BAR while another switches memory off and on, "flips" times

"place" is where the BAR is mapped (workload.Window).  With "raw" the events are as the probes
logged them.  It prints a trace: see events.py.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from pfnlab.host.access import probe
from pfnlab.host.device import VfioDevice
from pfnlab.host.errors import HostError
from pfnlab.host.events import Run, Trace, to_lines
from pfnlab.host.machine import read_machine
from pfnlab.host.mapping_design import running_design
from pfnlab.host.memory import Mapping
from pfnlab.host.normalise import model_events
from pfnlab.host.pci import bound_to_vfio, find_device
from pfnlab.host.trace import Tracer
from pfnlab.workload import PAGE

FLIPS = 15
PAUSE = 0.0005  # seconds between two flips
STRIDE = (1 << 30) + PAGE  # from one touch to the next


def one(tracer: Tracer, device: VfioDevice, mapping: Mapping, order: dict[str, Any]) -> None:
    """What there is to see, once each."""

    def touch(address: int, who: str = "") -> None:
        tracer.mark(f"{who}touch {address:#x}")
        probe(address)

    touch(mapping.address)
    touch(mapping.address + mapping.size // 2 // PAGE * PAGE)
    tracer.mark("memory off")
    device.config.set_memory(False)
    touch(mapping.address)
    tracer.mark("memory on")
    device.config.set_memory(True)
    touch(mapping.address)
    tracer.mark("fork")
    child = os.fork()
    if child == 0:
        touch(mapping.address, "child ")
        os._exit(0)
    os.waitpid(child, 0)


def race(tracer: Tracer, device: VfioDevice, mapping: Mapping, order: dict[str, Any]) -> None:
    """Memory goes off and on against a thread that touches."""
    stop = threading.Event()

    def touch_all_over() -> None:
        number = 0
        while not stop.is_set():
            probe(mapping.address + number * STRIDE % mapping.size // PAGE * PAGE)
            number += 1

    toucher = threading.Thread(target=touch_all_over)
    toucher.start()
    try:
        time.sleep(100 * PAUSE)
        for _flip in range(order.get("flips", FLIPS)):
            device.config.set_memory(False)
            time.sleep(PAUSE)
            device.config.set_memory(True)
            time.sleep(PAUSE)
    finally:
        stop.set()
        toucher.join()


Scenario = Callable[[Tracer, VfioDevice, Mapping, dict[str, Any]], None]
SCENARIOS: dict[str, Scenario] = {"one": one, "race": race}


def record(order: dict[str, Any]) -> Trace:
    """Trace a scenario.  Raises HostError and OSError."""
    scenario = SCENARIOS.get(order["scenario"])
    if scenario is None:
        raise HostError(f"no scenario {order['scenario']!r}; there are {', '.join(SCENARIOS)}")
    pci = find_device(order["devices"][0])
    bar = pci.bar(order["bar"])
    probe(0)  # the machine code and its signal stack are there before anything is traced
    # Bound outside: what a driver does when it goes is not about mappings.
    with bound_to_vfio(pci, unbind=True), Tracer() as tracer:
        device = VfioDevice(pci.bdf)
        tracer.begin()
        tracer.mark("open")
        with device:
            tracer.watch_locks()
            device.config.set_memory(True)
            tracer.mark("mmap")
            mapping = device.map_window(order["bar"], place=order.get("place", "1g"))
            scenario(tracer, device, mapping, order)
            tracer.mark(f"munmap {mapping.address:#x}")
            mapping.unmap()
        tracer.mark("end")
        raw = tracer.end()
        machine = read_machine()
        run = Run(
            kernel=machine.kernel,
            version=machine.version,
            design=running_design(release=machine.kernel).name,
            scenario=order["scenario"],
            device=device.bdf,
            bar_size=bar.size,
            bar_address=bar.address,
            thp=machine.thp,
            missing=tracer.missing,
            lost=tracer.lost,
        )
    return Trace(run, tuple(raw) if order.get("raw") else model_events(raw))


def main() -> int:
    order = json.loads(sys.stdin.readline())
    try:
        for line in to_lines(record(order)):
            print(line, flush=True)
    except (HostError, OSError, KeyError) as error:
        print(error if isinstance(error, HostError) else repr(error), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
