"""Kernels are fetched whole or not at all, and apt of the host is left as it is."""

import os
import time
from pathlib import Path

import pytest

from pfnlab.lab import packages
from pfnlab.lab.errors import LabError
from pfnlab.lab.kernels import find_kernel
from pfnlab.lab.packages import FRESH, available_kernels, fetch
from pfnlab.lab.run import quiet
from pfnlab.lab.sources import Mirror
from tests.lab.fake_apt import FakeApt, fake_apt

MIRROR = Mirror("http://mirror.example/debian", ("bookworm",), "/keys/debian.gpg")
RELEASE = "6.12.9-amd64"
NAME = f"linux-image-{RELEASE}"


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeApt:
    """With one kernel."""
    made = fake_apt(tmp_path / "tools")
    monkeypatch.setenv("PATH", f"{made.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(packages, "mirrors_of", lambda: [MIRROR])
    made.has(NAME, "6.12.9-1")
    made.contains(RELEASE, "6.12.9")
    return made


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def left(cache: Path) -> list[str]:
    """What there is of kernels, but for locks."""
    return [path.name for path in (cache / "kernels").iterdir() if path.suffix != ".lock"]


def test_kernels_that_can_be_had_are_listed_the_newest_last(apt: FakeApt, cache: Path) -> None:
    for release, version in (
        ("7.0-amd64", "7.0~rc3-1~exp1"),
        ("7.0.0-amd64", "7.0-1"),
        ("6.9.7-amd64", "6.9.7-1"),
        ("6.1.0-56-amd64", "6.1.192-1"),
    ):
        apt.has(f"linux-image-{release}", version)

    found = available_kernels(cache, quiet)

    assert [each.version for each in found] == ["6.1.192", "6.9.7", "6.12.9", "7.0", "7.0"]
    assert found[-1].release == "7.0.0-amd64"
    assert found[0].release == "6.1.0-56-amd64"


@pytest.mark.parametrize("kind", ["cloud-amd64", "rt-amd64", "amd64-dbg", "amd64-unsigned"])
def test_kernels_of_other_kinds_are_not_listed(apt: FakeApt, cache: Path, kind: str) -> None:
    apt.has(f"linux-image-6.12.10-{kind}", "6.12.10-1")

    assert [each.release for each in available_kernels(cache, quiet)] == [RELEASE]


def test_a_name_that_stands_for_another_package_is_not_listed(apt: FakeApt, cache: Path) -> None:
    apt.has("linux-image-6.12-amd64", "6.12.9-1", depends=f"{NAME} (= 6.12.9-1)")

    assert [each.release for each in available_kernels(cache, quiet)] == [RELEASE]


def test_a_kernel_in_several_packages_is_all_of_them(apt: FakeApt, cache: Path) -> None:
    binary, modules = "linux-binary-7.3.4-amd64", "linux-modules-7.3.4-amd64"
    base = "linux-base-7.3.4-amd64"  # not in the archive, and not needed
    apt.has("linux-image-7.3.4-amd64", "7.3.4-1", 5, f"{binary}, {modules} (= 7.3.4-1), {base}")
    apt.has(binary, "7.3.4-1", 100)
    apt.has(modules, "7.3.4-1", 2000)

    newest = available_kernels(cache, quiet)[-1]

    assert newest.packages == ("linux-image-7.3.4-amd64", binary, modules)
    assert newest.size == 2105


def test_a_kernel_that_has_lost_a_part_is_not_listed(apt: FakeApt, cache: Path) -> None:
    apt.has("linux-image-7.3.4-amd64", "7.3.4-1", depends="linux-modules-7.3.4-amd64")

    assert [each.release for each in available_kernels(cache, quiet)] == [RELEASE]


def test_a_kernel_is_fetched_by_its_series_and_found_from_then_on(
    apt: FakeApt, cache: Path
) -> None:
    apt.has("linux-image-6.12.8-amd64", "6.12.8-1")

    fetched = fetch("6.12", cache, quiet)

    assert (fetched.release, fetched.version) == (RELEASE, "6.12.9")
    assert find_kernel("6.12", cache, host=cache / "nothing") == fetched
    assert left(cache) == [RELEASE]
    assert [call.split()[-1] for call in apt.asked("download")] == [NAME]


def test_a_kernel_that_is_here_is_not_fetched_again(apt: FakeApt, cache: Path) -> None:
    first = fetch("6.12", cache, quiet)

    assert fetch("6.12.9", cache, quiet) == first
    assert len(apt.asked("download")) == 1


def test_a_kernel_that_is_damaged_is_fetched_again(apt: FakeApt, cache: Path) -> None:
    first = fetch("6.12", cache, quiet)
    first.image.write_bytes(first.image.read_bytes()[:100])

    assert fetch("6.12", cache, quiet) == first
    assert find_kernel("6.12", cache, host=cache / "nothing") == first
    assert len(apt.asked("download")) == 2


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("refuses", f"cannot fetch {NAME}: E: 404 Not Found"),
        ("damaged", f"cannot unpack {NAME}_1_amd64.deb: dpkg-deb: error: not a package"),
    ],
)
def test_a_kernel_that_does_not_come_leaves_nothing_behind(
    apt: FakeApt, cache: Path, how: str, message: str
) -> None:
    apt.fails(how)

    with pytest.raises(LabError, match=message):
        fetch("6.12", cache, quiet)

    assert left(cache) == []


def test_a_package_without_a_kernel_leaves_nothing_behind(apt: FakeApt, cache: Path) -> None:
    (apt.folder / "contents" / "boot" / f"vmlinuz-{RELEASE}").unlink()

    with pytest.raises(LabError, match="no kernel in"):
        fetch("6.12", cache, quiet)

    assert left(cache) == []


def test_what_was_left_of_a_killed_download_is_no_matter(apt: FakeApt, cache: Path) -> None:
    partial = cache / "kernels" / f"{RELEASE}.part"
    (partial / "unpacked").mkdir(parents=True)
    (partial / "other.deb").write_text("half")

    fetch("6.12", cache, quiet)

    assert left(cache) == [RELEASE]


def test_a_kernel_that_no_suite_has_is_looked_for_in_all(apt: FakeApt, cache: Path) -> None:
    with pytest.raises(LabError, match=r"no package of a kernel 6\.13"):
        fetch("6.13", cache, quiet)

    own, every = [(cache / "apt" / f"{name}.sources").read_text() for name in ("own", "every")]
    assert "Suites: bookworm\n" in own
    assert "Suites: bookworm bookworm-backports trixie" in every
    assert apt.asked("download") == []


def test_lists_are_fetched_again_only_when_they_are_old(apt: FakeApt, cache: Path) -> None:
    available_kernels(cache, quiet)
    available_kernels(cache, quiet)
    assert len(apt.asked("update")) == 1

    old = time.time() - FRESH - 1
    os.utime(cache / "apt" / "every.updated", (old, old))
    available_kernels(cache, quiet)

    assert len(apt.asked("update")) == 2


def test_apt_keeps_what_it_has_read_of_the_lists_also_where_the_host_has_it_keep_none(
    apt: FakeApt, cache: Path
) -> None:
    available_kernels(cache, quiet)

    for call in apt.asked("search"):
        assert "Dir::Cache::pkgcache=every.pkgcache.bin" in call.split()


def test_without_a_network_there_are_no_lists(apt: FakeApt, cache: Path) -> None:
    apt.fails("offline")

    with pytest.raises(LabError, match="is there a network"):
        available_kernels(cache, quiet)

    assert not (cache / "apt" / "every.updated").exists()


def test_without_apt_a_path_can_be_given(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(LabError, match=r"no apt-get here .* give a path to a kernel"):
        available_kernels(cache, quiet)


def test_apt_writes_into_the_cache_and_installs_nothing(apt: FakeApt, cache: Path) -> None:
    fetch("6.12", cache, quiet)

    calls = [call for tool in ("apt-get", "apt-cache") for call in apt.asked(tool)]
    assert calls
    for call in calls:
        assert f"Dir::State::Lists={cache / 'apt' / 'lists'}" in call.split()
        assert f"Dir::Cache={cache / 'apt' / 'cache'}" in call.split()
        assert "install" not in call.split()
