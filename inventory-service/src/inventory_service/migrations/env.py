"""Alembic's environment: the tables of inventory-service and of the chassis, on the connection that was handed in."""

from chassis.migrations import run_environment

from inventory_service.storage import metadata

run_environment(metadata)
