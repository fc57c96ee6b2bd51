"""Measured comparisons that anyone can repeat. Nothing here is a test: machines differ, so only ratios of one run count."""
