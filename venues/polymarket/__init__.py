"""Polymarket: a book per token, orders signed with EIP-712, matches that settle on a chain and may be taken back."""
