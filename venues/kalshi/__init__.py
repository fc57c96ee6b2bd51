"""Kalshi: one YES book per market, dollars as strings, a client order id that is never freed."""
