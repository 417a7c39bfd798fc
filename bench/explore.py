"""Explore one program in a process of its own, and print as JSON what it took.

    python -m bench.explore NAME                     once: what a verdict costs from the start
    python -m bench.explore NAME --runs 6 --most N   so many runs, each of at most N executions

A run that ends sooner than the clock can tell is repeated within that run.  Times are CPU
seconds of this process: what others do on the machine counts for less that way.
"""

import argparse
import json
import resource
import time

from bench.programs import subjects
from pfnlab import core
from pfnlab.engine import Program
from pfnlab.explorer.search import Limits, Reduced, Search

SHORTEST = 0.1  # seconds of one run


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--most", type=int)
    options = parser.parse_args()
    subject = subjects()[options.name]
    limits = Limits(schedules=options.most)
    rates = []
    times = 1
    for _ in range(options.runs):
        began = time.process_time()
        for _ in range(times):
            result = Search(Program, subject.build, Reduced, limits).run()
            if result.complete and result.schedules != subject.traces:
                raise SystemExit(
                    f"{subject.name}: {result.schedules} executions, not {subject.traces}"
                )
        seconds = time.process_time() - began
        rates.append(times * result.schedules / seconds)
        if seconds < SHORTEST and options.runs > 1:
            times = max(times, int(SHORTEST * times / seconds) + 1)
    print(
        json.dumps(
            {
                "core": core.description(),
                "executions": result.schedules,
                "complete": result.complete,
                "events": result.steps,
                "rates": rates[1:] or rates,  # the first is to warm up
                "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
