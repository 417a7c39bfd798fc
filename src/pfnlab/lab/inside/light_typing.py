"""What a guest has as `typing`: names for annotations, which nobody reads there.

To import Python's own takes an emulated guest 0.1 s.
"""

__all__ = ["IO", "TYPE_CHECKING", "Any", "Literal", "Protocol", "Self"]

TYPE_CHECKING = False


class Any:
    """Also a base class, as Protocol is."""

    def __class_getitem__(cls, _parameters: object) -> type:
        return cls


IO = Literal = Protocol = Self = Any
