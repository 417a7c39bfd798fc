"""pfnlab replay: a schedule that fits, and those that do not."""

import json

import pytest

from tests.cli.command import Command


def test_replay_prints_what_check_printed(pfnlab: Command) -> None:
    checked = pfnlab("check", "remap_on_fault", "first_fault")
    replayed = pfnlab("replay", "remap_on_fault", "first_fault", "vcpu:13")

    assert replayed.status == 1
    assert checked.out.startswith(replayed.out.rstrip("\n"))


def test_a_schedule_that_breaks_nothing_is_status_0(pfnlab: Command) -> None:
    ran = pfnlab("replay", "huge_fault", "first_fault", "vcpu:3")

    assert ran.status == 0
    assert ran.out == "first_fault on huge_fault: no rule breaks along vcpu:3\n"


def test_replay_checks_only_the_rule_that_is_named(pfnlab: Command) -> None:
    ran = pfnlab("replay", "remap_on_fault", "first_fault", "vcpu:7", "--rule", "D1")

    assert ran.status == 0


def test_replay_prints_json(pfnlab: Command) -> None:
    ran = pfnlab("replay", "remap_on_fault", "first_fault", "vcpu:13", "--json")

    data = json.loads(ran.out)
    assert ran.status == 1
    assert set(data) == {"schema", "pfnlab", "design", "scenario", "finding"}
    assert data["finding"]["rule"] == "mmap_assert_write_locked"


def test_json_of_a_replay_without_a_failure_has_no_finding(pfnlab: Command) -> None:
    ran = pfnlab("replay", "huge_fault", "first_fault", "vcpu:3", "--json")

    assert ran.status == 0
    assert json.loads(ran.out)["finding"] is None


@pytest.mark.parametrize(
    ("schedule", "complaint"),
    [
        ("vcpu:99", "vcpu has made 11 of the 99 steps that the schedule gives it, and has ended"),
        ("nobody:1", "schedule names task 'nobody'; this scenario has vcpu"),
        (
            "vcpu",
            "cannot read 'vcpu' in schedule 'vcpu': write TASK:STEPS,TASK:STEPS,... as a "
            "counterexample prints it",
        ),
    ],
)
def test_a_schedule_that_does_not_fit_is_one_line(
    pfnlab: Command, schedule: str, complaint: str
) -> None:
    ran = pfnlab("replay", "huge_fault", "first_fault", schedule)

    assert (ran.status, ran.out, ran.err) == (2, "", f"pfnlab: {complaint}\n")


def test_a_schedule_that_waits_for_a_lock_says_so(pfnlab: Command) -> None:
    ran = pfnlab("replay", "huge_fault", "zap_vs_fault", "config:1,vcpu:13")

    assert (ran.status, ran.out) == (2, "")
    assert ran.err == (
        "pfnlab: vcpu has made 5 of the 13 steps that the schedule gives it, "
        "and waits in down_read\n"
    )
