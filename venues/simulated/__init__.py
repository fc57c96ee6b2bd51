"""Simulated venues: loopback servers that speak each venue's dialect and keep the ledger that judges every test."""
