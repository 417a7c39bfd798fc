"""What a search makes of known histories is what the code of the tasks does."""

from typing import NamedTuple

import pytest

from pfnlab import Design, Scenario
from pfnlab.catalogue import all_designs, all_scenarios
from pfnlab.engine.event import Event
from pfnlab.engine.execution import Execution
from pfnlab.explorer.optimal import Optimal
from pfnlab.verdict import program_maker

EXECUTIONS = 10  # of each scenario; one in eight is followed


class Done(NamedTuple):
    """One step: by whom, which choice, and what it did.

    Modes without the numbers of cells: those follow the order of their first use.
    """

    task: int
    choice: int
    modes: tuple[int, ...]
    steps: int


def done(events: list[Event]) -> list[Done]:
    return [
        Done(e.task, e.choice, tuple(mode for _number, mode in e.label.accesses), e.steps)
        for e in events
    ]


def searched(design: Design, scenario: Scenario) -> list[tuple[list[Done], list[str]]]:
    """Some executions of a search, and the rules that each breaks."""
    search = Optimal(Execution(program_maker(design, None)(), scenario))
    execution = search.machine.execution
    found = []
    for place in range(EXECUTIONS):
        if not search.next():
            break
        if place % 8 == 0:
            found.append((done(execution.events), [b.violation.rule for b in execution.broken]))
    execution.end()
    return found


@pytest.mark.slow
@pytest.mark.parametrize("design", all_designs().values(), ids=lambda design: design.name)
def test_the_code_makes_the_steps_that_the_search_says(design: Design) -> None:
    for scenario in all_scenarios().values():
        for steps, rules in searched(design, scenario):
            code = Execution(program_maker(design, None)(), scenario)
            code.restart()
            for step in steps:
                assert code.ready(code.program.tasks[step.task]), (scenario.name, step)
                code.fire(code.program.tasks[step.task], step.choice)
            if not code.enabled():
                code.finish()
            assert done(code.events) == steps, scenario.name
            assert [b.violation.rule for b in code.broken] == rules, scenario.name
            code.end()
