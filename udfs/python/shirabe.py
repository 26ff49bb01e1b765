"""What user code may import from Shirabe."""

from dataclasses import dataclass, field

__all__ = ["HTMLResult"]


@dataclass
class HTMLResult:
    """The page of a card, and which columns of its dataset it uses."""

    html: str
    used_columns: list = field(default_factory=list)
    filter_applicable: list = field(default_factory=list)
