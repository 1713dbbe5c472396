"""Measures config-server: what a read costs warm and right after a commit, and what the server costs to run."""
