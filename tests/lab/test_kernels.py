"""Kernels are found in packages, trees and files, and by version."""

from pathlib import Path

import pytest

from pfnlab.lab.errors import LabError
from pfnlab.lab.kernels import find_kernel, kernel_at, kernels_here, matches
from tests.lab.images import BANNER, bz_image, package


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    for release, version in (
        ("6.1.0-9-amd64", "6.1.27"),
        ("6.12.9-amd64", "6.12.9"),
        ("6.12.95-amd64", "6.12.95"),
        ("6.2.1-amd64", "6.2.1"),
    ):
        package(tmp_path / "kernels" / release, release, version)
    (tmp_path / "kernels" / "7.0.part" / "boot").mkdir(parents=True)
    return tmp_path


def test_an_unpacked_package_has_its_image_and_modules(tmp_path: Path) -> None:
    image = package(tmp_path / "x", "6.1.0-56-amd64", "6.1.192")

    found = kernel_at(tmp_path / "x")

    assert found == kernel_at(image)
    assert (found.release, found.version) == ("6.1.0-56-amd64", "6.1.192")
    assert found.image == image
    assert found.modules == tmp_path / "x" / "lib" / "modules" / "6.1.0-56-amd64"


def test_a_package_may_keep_its_image_beside_the_modules(tmp_path: Path) -> None:
    folder = tmp_path / "usr" / "lib" / "modules" / "7.3.4-amd64"
    (folder / "kernel").mkdir(parents=True)
    (folder / "vmlinuz").write_bytes(bz_image("7.3.4-amd64", "7.3.4-1"))

    found = kernel_at(tmp_path)

    assert (found.image, found.modules) == (folder / "vmlinuz", folder)


def test_a_built_tree_is_the_folder_of_its_modules(tmp_path: Path) -> None:
    image = tmp_path / "arch" / "x86" / "boot" / "bzImage"
    image.parent.mkdir(parents=True)
    image.write_bytes(bz_image("6.19.0-rc1"))

    assert kernel_at(tmp_path).modules == tmp_path
    assert kernel_at(image).modules == tmp_path


@pytest.mark.parametrize(
    ("wanted", "release"),
    [
        ("6.12", "6.12.95-amd64"),
        ("6.12.9", "6.12.9-amd64"),
        ("6.1", "6.1.0-9-amd64"),
        ("6.1.27", "6.1.0-9-amd64"),
        ("6.12.95-amd64", "6.12.95-amd64"),
    ],
)
def test_a_version_means_the_newest_of_it(cache: Path, wanted: str, release: str) -> None:
    found = find_kernel(wanted, cache, host=cache / "nothing")

    assert found is not None
    assert found.release == release


def test_a_version_that_is_not_here_is_none(cache: Path) -> None:
    assert find_kernel("6.13", cache, host=cache / "nothing") is None


def test_kernels_are_listed_by_number_and_partial_ones_are_not(cache: Path) -> None:
    versions = [kernel.version for kernel in kernels_here(cache, host=cache / "nothing")]

    assert versions == ["6.1.27", "6.2.1", "6.12.9", "6.12.95"]


def test_a_series_is_not_the_beginning_of_a_number() -> None:
    assert not matches("6.1", "6.12.9-amd64", "6.12.9")
    assert matches("6.1", "6.1.0-9-amd64", "6.1.27")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bz_image("6.12.9")[:3000], r"cut short: it has 3,000 bytes of at least 5,120"),
        (b"#!/bin/sh\n", "neither a bzImage nor a vmlinux"),
    ],
)
def test_a_file_that_is_no_whole_kernel_is_refused(
    tmp_path: Path, data: bytes, message: str
) -> None:
    (tmp_path / "bzImage").write_bytes(data)

    with pytest.raises(LabError, match=message):
        kernel_at(tmp_path / "bzImage")


@pytest.mark.parametrize("wanted", ["./nothing", "six", "v6.12"])
def test_what_is_neither_path_nor_version_is_refused(cache: Path, wanted: str) -> None:
    with pytest.raises(LabError):
        find_kernel(wanted, cache)


def test_the_version_is_not_that_of_the_compiler(tmp_path: Path) -> None:
    built = b"(gcc-12 (Debian 12.2.0-14) 12.2.0, GNU ld)"
    image = tmp_path / "vmlinux"
    text = BANNER.format("6.1.0-56-amd64", "6.1.192-2").encode().replace(b" #1", built + b" #1")
    image.write_bytes(b"\x7fELF" + bytes(96) + b"Linux version " + text + b"\n\0")

    assert kernel_at(image).version == "6.1.192"
