"""The process that a workload forks: it touches what it is told, and says what that cost."""

import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import IO

from pfnlab.host.access import Signals, signals_counted, sweep
from pfnlab.host.counters import Faults, no_collection
from pfnlab.host.errors import HostError
from pfnlab.host.touches import Run


@dataclass(frozen=True)
class Cost:
    """Of one action: faults by ru_minflt, signals, and seconds."""

    faults: int
    signals: Signals
    seconds: float


def timed_sweep(runs: Iterable[Run], faults: Faults) -> Cost:
    """Sweep, and count.  Runs are made before the clock starts."""
    made = list(runs)
    with no_collection(), signals_counted():
        # A signal, so that the pages of its stack are there, too; and a page that is there, as far
        # away as what is swept: of numbers as large Python makes no small ones.
        here = Run(faults.address, 1, 0)
        faults.settle(lambda: _sweep([Run(0, 1, 0), here], faults).faults)
        return _sweep(made, faults)


def _sweep(runs: list[Run], faults: Faults) -> Cost:
    faults.swept = 0
    start = time.perf_counter()
    signals = sweep(runs, faults)
    seconds = time.perf_counter() - start
    return Cost(faults.swept, signals, seconds)


class Child:
    """Made by fork(), with all mappings of this process.  It lives until close()."""

    def __init__(self) -> None:
        to_child, self._to = os.pipe()
        self._from, from_child = os.pipe()
        start = time.perf_counter()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._to)
            os.close(self._from)
            serve(os.fdopen(to_child), os.fdopen(from_child, "w"))
        self.seconds = time.perf_counter() - start
        os.close(to_child)
        os.close(from_child)
        self._answers: IO[str] = os.fdopen(self._from)
        self._orders: IO[str] = os.fdopen(self._to, "w")

    def sweep(self, runs: Iterable[Run]) -> Cost:
        print(json.dumps([asdict(run) for run in runs]), file=self._orders, flush=True)
        answer = self._answers.readline()
        if not answer:
            raise HostError("the child died")
        data = json.loads(answer)
        return Cost(data["faults"], Signals(**data["signals"]), data["seconds"])

    def close(self) -> None:
        self._orders.close()
        self._answers.close()
        os.waitpid(self.pid, 0)


def serve(orders: IO[str], answers: IO[str]) -> None:
    """The child's whole life: nothing of what its parent still had to do is done here."""
    status = 1
    try:
        faults = Faults()
        for line in orders:
            cost = timed_sweep((Run(**run) for run in json.loads(line)), faults)
            print(json.dumps(asdict(cost)), file=answers, flush=True)
        status = 0
    finally:
        os._exit(status)
