"""The archive, read back by the definition of its format."""

from pfnlab.lab.initrd import FOLDER, PROGRAM, Entry, archive


def read_back(data: bytes) -> list[tuple[str, int, bytes]]:
    found = []
    place = 0
    while True:
        assert data[place : place + 6] == b"070701"
        numbers = [int(data[place + 6 + 8 * n : place + 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_size = numbers[1], numbers[6], numbers[11]
        name = data[place + 110 : place + 110 + name_size - 1].decode()
        place += -(-(110 + name_size) // 4) * 4
        content = data[place : place + size]
        place += -(-size // 4) * 4
        if name == "TRAILER!!!":
            assert place == len(data)
            return found
        found.append((name, mode, content))


def test_files_come_back_behind_the_folders_they_lie_in() -> None:
    data = archive([Entry("a/b/c.py", b"text"), Entry("a/d", b"12345", PROGRAM), Entry("a/b/e")])

    assert read_back(data) == [
        ("a", FOLDER, b""),
        ("a/b", FOLDER, b""),
        ("a/b/c.py", 0o100644, b"text"),
        ("a/d", 0o100755, b"12345"),
        ("a/b/e", 0o100644, b""),
    ]


def test_of_two_entries_with_one_name_the_first_counts() -> None:
    assert read_back(archive([Entry("x", b"1"), Entry("x", b"2")])) == [("x", 0o100644, b"1")]
