"""pfnlab compare."""

import json
from pathlib import Path

import pytest

from pfnlab.fidelity.saved import load
from tests.cli.command import Command
from tests.lab.conftest import FindKernel, real_kernel

MEASURED = Path(__file__).parent.parent / "data" / "measured"
ONE = str(MEASURED / "6.12.95.json")
__all__ = ["real_kernel"]  # a fixture


@pytest.mark.slow
def test_a_file_is_compared_without_a_guest(pfnlab: Command) -> None:
    ran = pfnlab("compare", ONE, "--case", "MAP_DMA, swept", "--case", "THP never")

    assert ran.status == 0
    assert "model: huge_fault, v6.12\n" in ran.out
    assert ran.out.rstrip().endswith("2 workloads, 24 counts: all equal.")


def test_a_difference_makes_the_status_and_has_a_line(pfnlab: Command) -> None:
    ran = pfnlab("compare", ONE, "--case", "MAP_DMA, off", "--design", "insert_page_on_fault")

    assert ran.status == 1
    assert "  * map_dma, calls pud: kernel 1, model 0\n" in ran.out


def test_several_kernels_have_a_table_together(pfnlab: Command) -> None:
    files = [str(MEASURED / f"{release}.json") for release in ("6.1.192", "6.12.95", "7.3.4")]
    ran = pfnlab("compare", *files, "--case", "MAP_DMA, off")

    assert ran.status == 1  # 6.1 has a table that the model has not
    head, *rows = ran.out.rpartition("\n\n")[2].splitlines()
    assert head.split() == ["workload", "6.1.192", "6.12.95", "7.3.4"]
    assert rows[2].split("  ")[0] == "MAP_DMA, off"


def test_the_data_has_every_count_of_every_workload(pfnlab: Command) -> None:
    ran = pfnlab("compare", ONE, "--case", "MAP_DMA, off", "--json")
    data = json.loads(ran.out)

    assert (data["kernel"], data["profile"]) == ("6.12.95+deb12-amd64", "v6.12")
    first, second = data["workloads"]
    assert (first["name"], second["name"]) == ("MAP_DMA, off", "MAP_DMA, off and on")
    assert {
        "step": "map_dma", "name": "map_dma -EFAULT", "kernel": 1, "model": 1, "equal": True
    } in first["counts"]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "say which kernel"),
        ((ONE, "--kernel", "6.12"), "give one of them"),
        ((ONE, "--case", "nothing of the kind"), "no workload has 'nothing of the kind'"),
        ((ONE, "--design", "nix"), "no design is called 'nix'"),
        ((ONE, "--profile", "v2.4"), "no profile is called 'v2.4' (the nearest is v5.8)"),
        (("nix.json",), "nix.json"),
        ((ONE, "--save", "x.json"), "--save keeps one kernel"),
        (("--kernel", "6.1", "--kernel", "6.12", "--save", "x.json"), "--save keeps one kernel"),
    ],
)
def test_wrong_use_is_one_line(pfnlab: Command, arguments: tuple[str, ...], message: str) -> None:
    ran = pfnlab("compare", *arguments)

    assert ran.status == 2
    assert message in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_file_of_something_else_is_refused(pfnlab: Command, tmp_path: Path) -> None:
    for text in ("no json", "[]", '{"schema": "other", "cases": []}', '{"cases": 1}'):
        path = tmp_path / "some.json"
        path.write_text(text)
        ran = pfnlab("compare", str(path))

        assert ran.status == 2
        assert str(path) in ran.err
        assert len(ran.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("part", "value"), [("version", 5), ("virtual", "no"), ("steps", {}), ("missing", [])]
)
def test_a_value_of_another_kind_is_refused(
    pfnlab: Command, tmp_path: Path, part: str, value: object
) -> None:
    data = json.loads(Path(ONE).read_text())
    data["cases"][0][part] = value
    assert one_line(pfnlab, tmp_path, data)


def test_a_count_that_is_no_number_is_refused(pfnlab: Command, tmp_path: Path) -> None:
    data = json.loads(Path(ONE).read_text())
    data["cases"][0]["steps"][0]["state"]["memtypes"] = "x"
    assert one_line(pfnlab, tmp_path, data)
    assert one_line(pfnlab, tmp_path, {**data, "cases": []})


def one_line(pfnlab: Command, folder: Path, data: object) -> bool:
    path = folder / "changed.json"
    path.write_text(json.dumps(data))
    ran = pfnlab("compare", str(path))
    return (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)


@pytest.mark.lab
@pytest.mark.slow
@pytest.mark.parametrize(
    ("series", "workload"), [("6.1", "sweep, place 1g"), ("6.12", "sweep, place 4k")]
)
def test_a_kernel_in_a_guest_does_what_the_model_says(
    real_kernel: FindKernel, pfnlab: Command, tmp_path: Path, series: str, workload: str
) -> None:
    real_kernel(series)
    kept = tmp_path / "kept.json"
    ran = pfnlab("compare", "--kernel", series, "--case", workload, "--save", str(kept))

    assert (ran.status, ran.err) == (0, "")
    assert ran.out.rstrip().endswith("all equal.")
    ((name, measured),) = load(kept)
    assert name == workload
    assert measured.version.startswith(f"{series}.")
