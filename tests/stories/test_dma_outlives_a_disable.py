"""type1 keeps a pfn for good, and nobody tells it when memory is turned off.

Known, and accepted upstream: a note, not a failure.
"""

from pfnlab import check, replay
from pfnlab.designs.huge_fault import design
from pfnlab.report.counterexample import result_text
from pfnlab.scenarios.dma import map_dma, map_dma_vs_disable

RULE = "iommu_entry_while_memory_disabled"


def test_it_is_told_as_a_note_with_the_shortest_schedule() -> None:
    result = check(map_dma_vs_disable, design)

    (note,) = result.notes
    assert (result.verdict, note.rule.name, note.rule.number) == ("ok", RULE, "R26")
    assert note.evidence == ("iommu -> pfn 3800000..3800003",)
    assert note.schedule == "type1:13,config:7"
    assert replay(map_dma_vs_disable, design, note.schedule) is None


def test_nothing_is_told_while_memory_is_on() -> None:
    assert check(map_dma, design).notes == ()


def test_a_rule_that_is_not_asked_for_is_not_told() -> None:
    assert check(map_dma_vs_disable, design, rules=["D1"]).notes == ()


def test_the_text_has_the_note_under_the_verdict() -> None:
    text = result_text(check(map_dma_vs_disable, design), "map_dma_vs_disable", "huge_fault")

    assert text.splitlines()[1].startswith(
        "  note R26: An IOMMU entry maps the BAR while the device"
    )
    assert text.endswith("Schedule: type1:13,config:7")
