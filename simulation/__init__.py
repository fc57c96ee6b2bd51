"""The judge: whole engines in virtual time, against venues, disks, networks and clocks that fail on purpose.

The shells are the real ones (`actors/`), with the real law, leases and journal records; only what lies outside of a
process is a model here: the event loop, the network, the disk and the venues.
"""
