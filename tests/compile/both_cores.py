"""Explore programs and print all that comes out; run by test_both_cores.py on each core."""

import hashlib
import json
import pickle

from bench.programs import subjects
from pfnlab import core
from pfnlab.catalogue import find_design, find_scenario
from pfnlab.engine.execution import Execution
from pfnlab.explorer.search import Limits, Reduced, Search
from pfnlab.verdict import explore
from tests.explorer.small_programs import (
    Build,
    Lab,
    choosers,
    lock_kept,
    opposite_orders,
    recursive_read,
    trylock_vs_lock,
)

MOST = 400  # executions of one program
PAIRS = (
    ("huge_fault", "zap_vs_fault"),
    ("remap_on_fault", "first_fault"),
    ("remap_on_fault_unchecked", "two_faults"),
    ("bulk_insert_on_fault", "two_faults"),
)


def programs() -> dict[str, Build]:
    found = {subject.name: subject.build for subject in subjects().values()}
    return found | {
        "choosers(2,3)": choosers(2, 3),
        "lock_kept(3)": lock_kept(3),
        "opposite_orders(2)": opposite_orders(2),
        "recursive_read": recursive_read(fair=True),
        "trylock_vs_lock(3)": trylock_vs_lock(3),
    }


def explored(build: Build, policy: Reduced) -> list[object]:
    """The schedules, as one digest, and the result."""
    steps = hashlib.sha256()

    def note(_search: Search, execution: Execution) -> None:
        steps.update(repr([(e.task, e.choice, e.label) for e in execution.events]).encode())

    result = Search(Lab, build, lambda: policy, Limits(schedules=MOST), note).run()
    found = [(each.violation.rule, each.schedule) for each in result.findings]
    return [steps.hexdigest(), result.schedules, result.given_up, result.complete, found]


def main() -> None:
    results: dict[str, object] = {}
    for name, build in programs().items():
        results[name] = explored(build, Reduced())
        results[f"{name}, source"] = explored(build, Reduced(optimal=False))
    for design, scenario in PAIRS:
        result = explore(find_scenario(scenario), find_design(design))
        assert pickle.loads(pickle.dumps(result)) == result  # as from one process to another
        found = [
            (each.violation, each.schedule, each.steps, each.failing) for each in result.findings
        ]
        results[f"{scenario} on {design}"] = [result.schedules, result.steps, repr(found)]
    print(json.dumps({"core": core.description(), "results": results}))


if __name__ == "__main__":
    main()
