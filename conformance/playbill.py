"""Every scenario, in the sequence in which they are played: that of these modules, and in each from top to bottom."""

from conformance import stories_first, stories_orders, stories_books, stories_special  # isort: skip
from conformance.scenarios import SCENARIOS

__all__ = ["SCENARIOS", "stories_books", "stories_first", "stories_orders", "stories_special"]
