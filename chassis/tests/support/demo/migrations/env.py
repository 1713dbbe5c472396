"""Alembic's environment of the demo."""

from support.demo import metadata

from chassis.migrations import run_environment

run_environment(metadata)
