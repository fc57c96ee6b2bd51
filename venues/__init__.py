"""The frontier: each venue's wire, signatures and outcome policy behind one port. Knows neither journal nor actors."""
