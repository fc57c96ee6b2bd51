"""Typed settings, sample files, the registry of approved pairs, secrets by reference. Read by the shells only."""
