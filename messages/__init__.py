"""The language: what actors say to each other and what journals keep. Imports nothing of ours.

Importing any of it imports all of it: a process must be able to read whatever a peer or a journal can say.
"""

from messages import books, control, leases, markets, opportunities, orders, trades

__all__ = ["books", "control", "leases", "markets", "opportunities", "orders", "trades"]
