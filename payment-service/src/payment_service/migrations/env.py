"""Alembic's environment: the tables of payment-service and of the chassis, on the connection that was handed in."""

from chassis.migrations import run_environment

from payment_service.storage import metadata

run_environment(metadata)
