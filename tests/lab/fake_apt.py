"""apt-get, apt-cache and dpkg-deb that are scripts, with an archive that is made up.

What they are asked is in the file `asked`.  A file `offline`, `refuses` or `damaged` beside the
scripts makes updates, downloads or unpacking fail.
"""

from dataclasses import dataclass
from pathlib import Path

from tests.lab.images import package

BEGIN = """\
#!/bin/sh
here=${0%/*}
echo "${0##*/} $*" >>"$here/asked"
last() { for word; do :; done; echo "$word"; }
"""
APT_GET = """\
case " $* " in
*" update "*)
    if [ -e "$here/offline" ]; then echo 'E: Failed to fetch the lists' >&2; exit 100; fi
    touch "$here/updated" ;;
*" download "*)
    echo half >"$(last "$@")_1_amd64.deb"
    if [ -e "$here/refuses" ]; then echo 'E: 404 Not Found' >&2; exit 100; fi ;;
esac
"""
APT_CACHE = """\
[ -e "$here/updated" ] || exit 0
case " $* " in
*" search "*) cd "$here/archive" && for name in linux-image-*; do echo "$name - Linux"; done ;;
*" show "*) for word; do cat "$here/archive/$word" 2>/dev/null; done ;;
esac
exit 0
"""
DPKG_DEB = """\
if [ -e "$here/damaged" ]; then echo 'dpkg-deb: error: not a package' >&2; exit 2; fi
cp -r "$here/contents/." "$(last "$@")"
"""


@dataclass(frozen=True)
class FakeApt:
    """`folder` is to be in PATH."""

    folder: Path

    def has(self, name: str, version: str, size: int = 1 << 20, depends: str = "kmod") -> None:
        """Put a package into the archive."""
        (self.folder / "archive" / name).write_text(
            f"Package: {name}\nVersion: {version}\nDepends: {depends}\nSize: {size}\n\n"
        )

    def contains(self, release: str, version: str) -> None:
        """Make that the kernel in every package."""
        package(self.folder / "contents", release, version)

    def fails(self, how: str) -> None:
        (self.folder / how).touch()

    def asked(self, word: str) -> list[str]:
        """The calls that had that word."""
        calls = (self.folder / "asked").read_text().splitlines()
        return [call for call in calls if word in call.split()]


def fake_apt(folder: Path) -> FakeApt:
    (folder / "archive").mkdir(parents=True)
    for name, text in (("apt-get", APT_GET), ("apt-cache", APT_CACHE), ("dpkg-deb", DPKG_DEB)):
        path = folder / name
        path.write_text(BEGIN + text)
        path.chmod(0o755)
    return FakeApt(folder)
