"""Exact combinations of vectors."""

from fractions import Fraction

from pfnlab.cost.linear import Span


def span_of(*vectors: list[int]) -> Span:
    span = Span()
    for vector in vectors:
        assert span.add(vector)
    return span


def test_weights_combine_the_vectors_to_the_target() -> None:
    span = span_of([1, 2, 4], [1, 3, 9], [1, 2, 8])

    weights = span.weights([1, 512, 512 * 512])

    assert weights is not None
    for place, target in enumerate([1, 512, 512 * 512]):
        vectors = [[1, 2, 4], [1, 3, 9], [1, 2, 8]]
        assert sum(w * v[place] for w, v in zip(weights, vectors, strict=True)) == target


def test_a_vector_that_the_others_give_adds_nothing() -> None:
    span = span_of([1, 0], [1, 2])

    assert not span.add([3, 4])
    assert span.weights([1, 1]) == [Fraction(1, 2), Fraction(1, 2)]


def test_what_is_outside_of_the_span_has_no_weights() -> None:
    assert span_of([1, 1]).weights([1, 2]) is None
