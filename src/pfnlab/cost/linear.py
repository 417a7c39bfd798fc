"""Which combination of samples gives a target: exact linear algebra on small matrices."""

from collections.abc import Sequence
from fractions import Fraction

Row = list[Fraction]


class Span:
    """What the vectors that were added can be combined to."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, Row, Row]] = []  # pivot, reduced vector, how it was made
        self._size = 0

    def add(self, vector: Sequence[int]) -> bool:
        """Add a vector; False, and nothing is added, if those before give it already."""
        row, made = self._reduced(vector)
        pivot = next((place for place, value in enumerate(row) if value), None)
        if pivot is None:
            return False
        made = [*made, Fraction(1)]
        scale = row[pivot]
        self._rows.append((pivot, [x / scale for x in row], [x / scale for x in made]))
        self._size += 1
        return True

    def weights(self, target: Sequence[int]) -> Row | None:
        """One weight for each vector, in the order added; None if they do not give it."""
        row, made = self._reduced(target)
        if any(row):
            return None
        return [-x for x in made]

    def _reduced(self, vector: Sequence[int]) -> tuple[Row, Row]:
        """What is left of a vector, and the combination that was added to it for that."""
        row = [Fraction(x) for x in vector]
        made = [Fraction(0)] * self._size
        for pivot, reduced, how in self._rows:
            factor = row[pivot]
            if factor:
                row = [a - factor * b for a, b in zip(row, reduced, strict=True)]
                for place, x in enumerate(how):
                    made[place] -= factor * x
        return row, made
