"""remap_on_fault on a kernel whose fork calls ->open before it copies page tables.

->open zaps the child's VMA, which was enough as long as it came last.  35e351780fa9
("fork: defer linking file vma until vma is fully initialized", v6.9, CVE-2024-27022)
turned the order round: now the zap finds nothing, then the copy gives the child leaves
that are on no list, and no zap will ever find them.  Red Hat's page on CVE-2020-12888
records the regression.
"""

from pfnlab import explore, replay
from pfnlab.designs import huge_fault, remap_on_fault
from pfnlab.scenarios.forks import child_touches_vs_disable, fork_vs_disable

RULE = "no_leaf_while_memory_disabled"
ON_A_CHILD = ["D1"]


def test_a_child_keeps_its_leaves_when_memory_goes_off() -> None:
    result = explore(fork_vs_disable, remap_on_fault.design, kernel="v6.9", rules=ON_A_CHILD)

    assert result.violation is not None
    assert result.violation.rule == RULE
    assert len(result.violation.evidence) == 4
    assert result.complete
    assert result.schedule == "parent:37,config:21"
    again = replay(
        fork_vs_disable, remap_on_fault.design, result.schedule, kernel="v6.9", rules=ON_A_CHILD
    )
    assert again is not None
    assert again.violation == result.violation


def test_before_the_change_of_fork_the_design_held() -> None:
    for kernel in ("v5.8", "v6.1"):
        result = explore(fork_vs_disable, remap_on_fault.design, kernel=kernel, rules=ON_A_CHILD)
        assert result.verdict == "ok"


def test_an_address_space_finds_the_child_on_either_kernel() -> None:
    for kernel in ("v6.1", "v6.9", "v7.3"):
        for scenario in (fork_vs_disable, child_touches_vs_disable):
            assert explore(scenario, huge_fault.design, kernel=kernel).verdict == "ok"
