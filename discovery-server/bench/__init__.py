"""Measures discovery-server with 10,000 instances: renewals, reads, memory, and how long news takes to arrive."""
