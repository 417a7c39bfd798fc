"""Explore one program in a process of its own, and print as JSON what it took.

    python -m bench.explore NAME                     once: what a verdict costs from the start
    python -m bench.explore NAME --runs 6 --most N   so many runs, each of at most N executions

Once is a whole search, as a check makes it: random walks, the search, the shortest telling of
what was found.  Runs are of the search alone.  One that ends sooner than the clock can tell is
repeated within that run.  Times are CPU seconds of this process: what others do on the machine
counts for less that way.
"""

import argparse
import gc
import json
import resource
import time
from typing import NamedTuple

from bench.programs import Subject, subjects
from pfnlab import core
from pfnlab.engine import Program
from pfnlab.engine.execution import Execution
from pfnlab.explorer.optimal import Optimal
from pfnlab.explorer.search import Reduced, Search

SHORTEST = 0.4  # seconds of one run


class Explored(NamedTuple):
    executions: int
    complete: bool
    events: int


def whole(subject: Subject) -> Explored:
    result = Search(Program, subject.build, Reduced).run()
    return Explored(result.schedules, result.complete, result.steps)


def search_alone(subject: Subject, most: int | None) -> Explored:
    execution = Execution(Program(), subject.build)
    search = Optimal(execution)
    made = longest = 0
    more = True
    while made != most and (more := search.next()):
        made += 1
        longest = max(longest, len(execution.events))
    execution.end()
    return Explored(made, not more, longest)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--most", type=int)
    options = parser.parse_args()
    subject = subjects()[options.name]
    rates = []
    times = 1
    gc.disable()  # as the search does
    for _ in range(options.runs or 1):
        seconds = 0.0
        for _ in range(times):
            alone = options.runs is not None
            began = time.process_time()
            found = search_alone(subject, options.most) if alone else whole(subject)
            seconds += time.process_time() - began
            gc.collect()  # or the next search would not begin in a process like the first one's
            if found.complete and found.executions != subject.traces:
                raise SystemExit(
                    f"{subject.name}: {found.executions} executions, not {subject.traces}"
                )
        rates.append(times * found.executions / seconds)
        if seconds < SHORTEST and options.runs:
            times = max(times, int(SHORTEST * times / seconds) + 1)
    print(
        json.dumps(
            {
                "core": core.description(),
                **found._asdict(),
                "rates": rates[1:] or rates,  # the first is to warm up
                "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


if __name__ == "__main__":
    main()
