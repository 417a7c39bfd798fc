"""How a story is told: find the failure, compare its schedule, follow it again."""

from pfnlab import Design, Finding, Scenario, explore, replay


def told(
    scenario: Scenario,
    design: Design,
    rule: str,
    schedule: str,
    *,
    alone: bool = False,
    step_limit: int = 5_000,
) -> Finding:
    """The shortest counterexample, which must break `rule` along exactly this schedule.

    `alone` is for a design that breaks other rules first: only this one is checked.
    """
    rules = [rule] if alone else None
    result = explore(scenario, design, rules=rules, step_limit=step_limit)
    assert result.violation is not None, f"{design.name} holds"
    assert (result.violation.rule, result.schedule) == (rule, schedule)
    # To leave out the rule on data races is to leave a search unfinished.
    assert result.complete or (alone and "no_data_race" in result.why_incomplete)

    again = replay(scenario, design, schedule, rules=rules, step_limit=step_limit)
    assert again is not None
    assert again.violation == result.violation
    assert again.trace == result.findings[0].trace
    return again
