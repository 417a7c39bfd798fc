"""The reduction against the oracle."""

from hypothesis import HealthCheck, assume, given, settings

from pfnlab.engine import Program
from pfnlab.explorer.dpor import Dpor
from pfnlab.explorer.exhaustive import Exhaustive
from pfnlab.explorer.search import Limits, Search
from tests.explorer.random_programs import Outcomes, Statement, programs, scenario_of

TOO_BIG = 2_500


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(programs())
def test_dpor_and_exhaustive_agree_on_final_states_and_verdicts(
    code: list[list[Statement]],
) -> None:
    every, reduced = Outcomes(), Outcomes()
    oracle = Search(
        Program, scenario_of(code, every), Exhaustive(), Limits(schedules=TOO_BIG), every.note
    ).run()
    assume(oracle.complete)
    result = Search(Program, scenario_of(code, reduced), Dpor(), on_execution=reduced.note).run()

    assert result.complete
    assert reduced.states == every.states
    assert result.verdict == oracle.verdict
    assert [f.steps for f in result.findings] == [f.steps for f in oracle.findings]
    assert result.schedules <= oracle.schedules
