"""The law: pure rules. No clock, no randomness, no I/O, no logging, no concurrency. Imports messages only."""
