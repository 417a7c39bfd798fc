"""What was kept is followed once more."""

from dataclasses import replace

import pytest

from pfnlab.engine.errors import Nondeterminism
from pfnlab.engine.execution import Execution
from pfnlab.explorer.by_code import run_code
from pfnlab.explorer.exhaustive import Exhaustive
from pfnlab.explorer.keep import Candidate, Kept
from pfnlab.explorer.retell import Retelling
from tests.explorer.oracles import Lab, philosophers

BUILD = philosophers(3)
RETELLING = Retelling(Lab, BUILD, frozenset(), 1000)


@pytest.fixture(scope="module")
def kept() -> Kept:
    execution, policy, kept = Execution(Lab(), BUILD), Exhaustive(), Kept()
    while policy.begin():
        run_code(execution, policy, kept, None)
    execution.end()
    return kept


@pytest.fixture
def candidate(kept: Kept) -> Candidate:
    (found,) = kept.candidates.values()
    return found


def test_the_shortest_is_told_with_its_trace(kept: Kept) -> None:
    execution = Execution(Lab(), BUILD)
    (finding,) = RETELLING.findings(kept, execution)
    execution.end()

    assert finding.schedule == "p0:1,p1:1,p2:1"
    assert [step.task for step in finding.trace.steps] == ["p0", "p1", "p2"]
    assert finding.failing == kept.failing


def test_where_the_shortest_does_not_fit_the_whole_execution_is_told(candidate: Candidate) -> None:
    wrong = replace(candidate.short, schedule="p0:100")
    finding = RETELLING.finding(replace(candidate, short=wrong))

    assert finding.schedule == candidate.full.schedule
    assert finding.violation.rule == "no_deadlock"


def test_what_does_not_break_again_is_an_error(candidate: Candidate) -> None:
    with pytest.raises(Nondeterminism, match="broke every_task_ends in the search, and does not"):
        RETELLING.finding(replace(candidate, rule="every_task_ends"))
