"""pfnlab cost, explain and calibrate."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import Command

Same = Callable[[str, str], None]
FEW = ["--design", "remap_on_fault", "--design", "insert_page_on_fault", "--design", "huge_fault"]


@pytest.mark.slow
def test_cost_prints_one_table(pfnlab: Command, same_as_snapshot: Same) -> None:
    same_as_snapshot("cost_128g", pfnlab("cost", "--size", "128G", *FEW).out)


@pytest.mark.slow
def test_a_time_is_beside_the_name_of_its_calibration(
    pfnlab: Command, same_as_snapshot: Same
) -> None:
    ran = pfnlab("cost", "--size", "4G", *FEW, "--calibration", "lab-tcg")
    same_as_snapshot("cost_with_times", ran.out)
    assert "time" not in pfnlab("cost", "--size", "4G", *FEW).out


@pytest.mark.slow
def test_map_dma_and_fork_have_columns_of_their_own(
    pfnlab: Command, same_as_snapshot: Same
) -> None:
    ran = pfnlab("cost", "--size", "4G", *FEW, "--workload", "map_dma,fork")
    same_as_snapshot("cost_map_dma_fork", ran.out)


@pytest.mark.slow
def test_all_designs_are_counted_by_default(pfnlab: Command) -> None:
    data = json.loads(pfnlab("cost", "--size", "1T", "--json").out)

    assert len(data["designs"]) >= 12
    counts = {each["design"]: each["steps"][1]["events"]["touches"] for each in data["designs"]}
    assert set(counts.values()) == {268_435_456}


def test_columns_are_explained_where_they_are_shown(pfnlab: Command) -> None:
    asked = ("cost", "--size", "4K", "--design", "huge_fault", "--workload")
    refused = " ".join(pfnlab(*asked, "off,touch").out.split())
    mapped = " ".join(pfnlab(*asked, "map_dma").out.split())

    assert "signals: SIGBUS; each is a fault, too." in refused
    assert "IOMMU" not in refused
    assert "IOMMU maps: calls of iommu_map()." in mapped
    assert "signals:" not in mapped


EXPLAINED = {
    "explain_vector": "--size 32G --offset 0x600000 --vma 0x7fdac0600000",
    "explain_policy": "--size 1G --kernel v6.12 --thp madvise",
    "explain_natural": "--size 4G --vma natural",
    "explain_hole": "--size 256M --hole 0x2000:0x1000",
    "explain_odd_offset": "--size 64M --offset 4K --bar-size 1G --vma 0x7f0000000000",
    "explain_second_mapping": "--size 1G --offset 6M --bar-size 4G --vma 0x7f0000600000 "
    "--after 0x7f0000000000:6M:0",
    "explain_nothing": "--size 2M --design remap_on_mmap",
    "explain_wrong_pfn": "--size 4M --offset 4K --bar-size 1G --vma 0x7f0000200000 "
    "--design huge_fault_unaligned",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPLAINED)
def test_explain_names_the_cause(pfnlab: Command, same_as_snapshot: Same, name: str) -> None:
    same_as_snapshot(name, pfnlab("explain", *shlex.split(EXPLAINED[name])).out)


def test_explain_gives_the_same_as_data(pfnlab: Command) -> None:
    data = json.loads(pfnlab("explain", "--size", "4G", "--json").out)

    assert [(part["level"], part["leaves"]) for part in data["ranges"]] == [("1 GiB", 4)]
    assert data["best_address"] == data["address"] == 0x7F0000000000


@pytest.mark.parametrize(
    ("kernel", "design"),
    [
        ([], "huge_fault"),
        (["--kernel", "6.12"], "huge_fault"),
        (["--kernel", "v6.10"], "insert_vma_on_fault"),
        (["--kernel", "v6.1"], "remap_on_fault"),
    ],
)
def test_explain_takes_the_design_that_the_kernel_had(
    pfnlab: Command, kernel: list[str], design: str
) -> None:
    ran = pfnlab("explain", "--size", "2M", *kernel, "--json")

    assert json.loads(ran.out)["design"] == design
    assert ran.err == ""


@pytest.mark.parametrize("command", ["explain", "cost"])
def test_a_kernel_that_never_had_the_design_is_told(pfnlab: Command, command: str) -> None:
    ran = pfnlab(command, "--size", "2M", "--kernel", "v6.1", "--design", "huge_fault")

    assert ran.status == 0
    assert ran.err == (
        "pfnlab: v6.1 never had huge_fault (v6.12.29, v6.15 and later); its own is remap_on_fault\n"
    )


def test_no_kernel_is_told_of_designs_that_none_had_or_that_are_the_users(
    pfnlab: Command, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from dataclasses import replace\n"
        "from pfnlab.designs import huge_fault\n"
        "mine = replace(huge_fault.design, kernels='')\n",
        encoding="utf-8",
    )
    for design in ("remap_on_mmap", str(mine)):
        for command in ("explain", "cost"):
            ran = pfnlab(command, "--size", "2M", "--kernel", "v6.1", "--design", design)
            assert (ran.status, ran.err) == (0, "")


def test_all_designs_are_compared_without_telling_which_kernel_had_them(pfnlab: Command) -> None:
    assert pfnlab("cost", "--size", "4K", "--kernel", "v6.1").err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("cost --size 0", "size is 0: there is nothing to map"),
        ("cost --size -4K", "size -4K is negative"),
        ("cost --size 4G --offset 8G --bar-size 4G", "offset 0x200000000 is beyond the BAR, "),
        ("cost --size 4G --offset 1", "offset 0x1 is no multiple of 4 KiB"),
        ("cost --size 4G --design nosuch", "no design is called 'nosuch'; "),
        ("cost --size 4G --kernel v1", "no profile is called 'v1' (the nearest is v5.8); "),
        ("cost --size 4G --workload dance", "no step of a workload is called 'dance'; "),
        ("cost --size 4G --calibration x", "no calibration is called 'x'; "),
        ("cost --size 4G --plot x.gif", "--plot x.gif: the name of a picture ends in .svg or .png"),
        ("cost --size 4G --vma 0x1000 --plot x.svg", "--plot draws whole BARs"),
        ("calibrate --output x.txt", "--output x.txt: the name of a calibration ends in .toml"),
        ("explain --size 0", "size is 0"),
        ("explain --size 4G --hole 5", "--hole 5: write OFFSET:SIZE"),
        ("explain --size 4G --hole 0:0", "--hole 0:0: a hole of no bytes is none"),
        ("explain --size 4G --hole 4G:4K", "--hole 4G:4K: it ends beyond the BAR, which has "),
        ("explain --size 4G --hole 0:4G", "the hole leaves nothing to map"),
        ("explain --size 4G --after 1:2", "--after 1:2: write ADDRESS:SIZE:OFFSET"),
        ("explain --size 4G --after 0x1000:4K:8G", "--after 0x1000:4K:8G: it ends beyond the BAR"),
        ("explain --size 4G --after 0x800000000000:4K:0", "a mapping of 0x1000 bytes at 0x8000"),
        ("explain --size 4G --after 0x7f0000000000:4K:0", "two mappings overlap"),
        ("cost", "Missing option '--size'"),
    ],
)
def test_wrong_use_is_one_clear_line(pfnlab: Command, arguments: str, message: str) -> None:
    ran = pfnlab(*shlex.split(arguments))

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"pfnlab: {message}")
    assert ran.err.count("\n") == 1


@pytest.mark.slow
def test_a_plot_is_written(
    pfnlab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = pfnlab("cost", "--size", "1G", *FEW, "--calibration", "lab-tcg", "--plot", "out.svg")

    assert ran.status == 0
    text = Path("out.svg").read_text(encoding="utf-8")
    assert text.startswith("<?xml")
    assert pfnlab("cost", "--size", "1G", *FEW, "--plot", "out.png").status == 0
    assert Path("out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_a_plot_says_what_it_leaves_out(
    pfnlab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    alike = ("--design", "remap_on_mmap", "--design", "remap_on_enable")
    times = ("--calibration", "type1-2025")
    ran = pfnlab("cost", "--size", "4K", *FEW, *alike, *times, "--plot", "out.svg")

    assert ran.status == 0
    # The texts are comments in the file.
    texts = re.findall("<!-- (.*?) -->", Path("out.svg").read_text(encoding="utf-8"), re.DOTALL)
    assert "no time is known in full by calibration type1-2025" in "\n".join(texts)
    assert "none, or not known in full: remap_on_mmap, remap_on_enable" in texts
    assert texts.count("1") == 1  # no 0 and no 100 beside it
    assert not {"0", "100", "1 s"} & set(texts)


@pytest.mark.slow
def test_calibrate_writes_a_file_that_cost_reads(
    pfnlab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = pfnlab("calibrate", "--name", "here", "--output", "here.toml")

    assert (ran.status, ran.out) == (0, "Wrote here.toml.\n")
    assert "not measured: lookup: needs a device" in ran.err
    shown = pfnlab("cost", "--size", "1G", *FEW, "--calibration", "./here.toml").out
    assert "time: by calibration here" in shown
    assert pfnlab("calibrate", "--output", "here.toml").status == 2


def test_designs_at_addresses_of_their_own_have_a_line_each(pfnlab: Command) -> None:
    names = ("huge_fault", "insert_vma_on_fault")
    alone = [pfnlab("cost", "--size", "2M", "--vma", "natural", "--design", n).out for n in names]
    designs = [part for name in names for part in ("--design", name)]
    both = pfnlab("cost", "--size", "2M", "--vma", "natural", *designs).out

    firsts = [f"{n}: {out.splitlines()[0]}" for n, out in zip(names, alone, strict=True)]
    assert both.splitlines()[:2] == firsts


def test_two_designs_of_one_name_are_refused(pfnlab: Command) -> None:
    ran = pfnlab("cost", "--size", "2M", "--design", "huge_fault", "--design", "huge_fault")

    assert (ran.status, ran.out) == (2, "")
    assert ran.err == "pfnlab: two designs are called huge_fault; give one another name\n"


def test_a_bar_that_is_moved_is_mapped_for_dma_too(pfnlab: Command) -> None:
    def events(workload: str) -> dict[str, int]:
        command = ("cost", "--size", "2M", "--design", "huge_fault", "--json")
        data = json.loads(pfnlab(*command, "--workload", workload).out)
        found: dict[str, int] = data["designs"][0]["steps"][1]["events"]
        return found

    assert events("map_dma,mremap") == events("map_dma")


def test_type1_unmaps_what_it_has_mapped_wherever_that_has_moved(pfnlab: Command) -> None:
    def last(words: str) -> dict[str, int]:
        asked = ["cost", "--size", "4M", "--design", "huge_fault", "--workload", words, "--json"]
        step = json.loads(pfnlab(*asked).out)["designs"][0]["steps"][-1]
        found: dict[str, int] = step["events"]
        return found

    assert last("map_dma,mremap,unmap_dma") == last("map_dma,unmap_dma")
    assert last("map_dma,unmap_dma")["iommu_unmap"] == 1
    assert last("map_dma,map_dma")["map_dma -EEXIST"] == 1


def test_a_number_that_begins_with_a_zero_is_decimal(pfnlab: Command) -> None:
    assert pfnlab("cost", "--size", "010M").out == pfnlab("cost", "--size", "10M").out


def test_what_a_kernel_refuses_is_said(pfnlab: Command) -> None:
    ran = pfnlab("cost", "--size", "2M", "--design", "huge_fault", "--workload", "off,map_dma")

    assert ran.out.endswith("\n\nhuge_fault: 1 x map_dma -EFAULT in map_dma\n")


def test_a_child_touches_where_the_window_was_when_it_was_forked(pfnlab: Command) -> None:
    command = ("cost", "--size", "4M", "--design", "huge_fault", "--json", "--workload")
    events = json.loads(pfnlab(*command, "fork,mremap,child").out)["designs"][0]["steps"][-1]

    assert events["events"]["faults"] == 2 and "signals" not in events["events"]


def test_several_holes_are_refused(pfnlab: Command) -> None:
    hole = ("--hole", "0x1000:0x1000")
    ran = pfnlab("explain", "--size", "1G", *hole, *hole)

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("pfnlab: one --hole can be told at a time")


def test_a_design_of_ones_own_is_told_how_far_it_was_compared(
    pfnlab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pfnlab("new", "design", "mine")
    said = "pfnlab: mine is counted in parts, as its first 8 MiB allow: what it does further on "

    for command in "cost", "explain":
        assert pfnlab(command, "--size", "64M", "--design", "./mine.py").err.startswith(said)
        assert pfnlab(command, "--size", "4M", "--design", "./mine.py").err == ""
        assert pfnlab(command, "--size", "64M", "--design", "huge_fault").err == ""
