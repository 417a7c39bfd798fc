"""Random schedules: for a first bug, and for programs too big to finish.

They run over tries, as the search does: see machine.py.

`RandomWalk` picks any enabled task at every step.  `Pct` gives tasks random priorities
and lowers one at a few random steps (Burckhardt et al., ASPLOS 2010): a bug that needs
d ordering decisions in a run of k steps of n tasks is hit with probability at least
1/(n * k^(d-1)).  Neither ever proves anything.
"""

import random
from dataclasses import dataclass, field

from pfnlab.engine.execution import Execution
from pfnlab.explorer.ends import finish, left
from pfnlab.explorer.machine import Machine
from pfnlab.explorer.policy import Choice


@dataclass
class RandomWalk:
    """A uniform walk."""

    seed: int | None = 0
    name: str = "random"
    bound: str = "random schedules"
    complete: bool = False

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def begin(self) -> bool:
        return True

    def choose(self, execution: Execution, enabled: list[Choice]) -> Choice | None:
        return None if execution.violation is not None else self.random.choice(enabled)

    def end(self, execution: Execution, finished: bool) -> None:
        pass


@dataclass
class Pct:
    """Probabilistic concurrency testing with `depth` - 1 changes of priority."""

    seed: int | None = 0
    depth: int = 3
    name: str = "pct"
    bound: str = "random schedules"
    complete: bool = False
    longest: int = 20  # steps in the longest run so far
    priorities: dict[int, float] = field(default_factory=dict)
    changes: dict[int, float] = field(default_factory=dict)
    step: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def begin(self) -> bool:
        self.longest = max(self.longest, self.step)
        self.step = 0
        self.priorities = {}
        count = self.depth - 1
        places = self.random.sample(range(1, max(self.longest, count) + 1), count)
        self.changes = {place: -1.0 - rank for rank, place in enumerate(places)}
        return True

    def choose(self, execution: Execution, enabled: list[Choice]) -> Choice | None:
        if execution.violation is not None:
            return None
        for choice in enabled:
            if choice.task not in self.priorities:
                self.priorities[choice.task] = self.random.random()
        self.step += 1
        first = max(enabled, key=lambda choice: self.priorities[choice.task])
        lower = self.changes.get(self.step)
        if lower is not None:
            self.priorities[first.task] = lower
            first = max(enabled, key=lambda choice: self.priorities[choice.task])
        return self.random.choice([choice for choice in enabled if choice.task == first.task])

    def end(self, execution: Execution, finished: bool) -> None:
        pass


def walk(machine: Machine, policy: RandomWalk | Pct) -> None:
    """One execution as a policy chooses it, from the first state to its end, or to a failure."""
    execution = machine.execution
    machine.undo(0)
    policy.begin()
    while not execution.unchecked_race:
        enabled = options_of(machine)
        if not enabled:
            finish(machine, left(machine))
            return
        choice = policy.choose(execution, enabled)
        if choice is None:
            return
        machine.make(choice.task, choice.option)


def options_of(machine: Machine) -> list[Choice]:
    """Every step that can happen now, in the order in which tasks were declared."""
    return [
        Choice(task, option)
        for task in range(machine.tasks)
        if machine.enabled(task)
        for option in range(machine.actors[task].node.op.options)
    ]


class Aside:
    """Remembers where a search stands, so that its machine can be used for something else."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.made = [(event.task, event.choice) for event in machine.events]
        self.races = set(machine.races)

    def put_back(self) -> None:
        """The same events again, with the same races: those of blocked operations are left out.

        They belong to an end of an execution, and that is behind when the search goes on.
        """
        machine = self.machine
        machine.undo(0)
        for task, choice in self.made:
            machine.make(task, choice)
        machine.races = [race for race in machine.races if race in self.races]
