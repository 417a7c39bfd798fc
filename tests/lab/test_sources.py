"""The mirrors of a host, in both notations, become the sources of the lab."""

from pathlib import Path

import pytest

from pfnlab.lab.errors import LabError
from pfnlab.lab.packages import Available
from pfnlab.lab.sources import fields, mirrors_of, sources_text

DEB822 = """\
Types: deb deb-src
# an old address
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /keys/archive.gpg

Types: deb
URIs: http://mirror.example/other
Suites: stable
"""
ONE_LINE = """\
# deb http://mirror.example/old/debian bullseye main
deb [arch=amd64 signed-by=/keys/security.gpg] http://mirror.example/debian-security bookworm-security main
"""  # noqa: E501


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822, encoding="utf-8")
    (tmp_path / "sources.list").write_text(ONE_LINE, encoding="utf-8")
    return tmp_path


def test_the_suites_of_the_host_are_asked_first(etc: Path) -> None:
    assert sources_text(mirrors_of(etc), every_suite=False) == (
        "Types: deb\n"
        "URIs: http://mirror.example/debian-security\n"
        "Suites: bookworm-security\n"
        "Components: main\n"
        "Signed-By: /keys/security.gpg\n"
        "\n"
        "Types: deb\n"
        "URIs: http://mirror.example/debian\n"
        "Suites: bookworm bookworm-updates\n"
        "Components: main\n"
        "Signed-By: /keys/archive.gpg\n"
    )


def test_every_suite_is_asked_of_the_archive_that_has_it(etc: Path) -> None:
    security, archive = sources_text(mirrors_of(etc), every_suite=True).split("\n\n")

    assert "Suites: bookworm-security trixie-security\n" in security
    assert "Suites: bookworm bookworm-updates bookworm-backports trixie " in archive


def test_a_host_without_a_mirror_is_told_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="give --kernel the path of a kernel"):
        mirrors_of(tmp_path)


def test_lines_that_go_on_belong_to_their_field() -> None:
    assert fields("A: 1\n more\nB: 2\n") == {"A": "1 more", "B": "2"}


def test_a_release_candidate_is_older_than_the_release() -> None:
    versions = ["7.3~rc7-1~exp1", "7.3.4-1~bpo13+1", "7.2.13-1", "7.3-1"]
    kernels = [Available(version, version, (), 0) for version in versions]

    ordered = [each.release for each in sorted(kernels, key=lambda each: each.order)]

    assert ordered == ["7.2.13-1", "7.3~rc7-1~exp1", "7.3-1", "7.3.4-1~bpo13+1"]
