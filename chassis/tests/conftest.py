"""PostgreSQL and Kafka for the chassis' own tests."""

pytest_plugins = ["chassis.testing.infra"]
