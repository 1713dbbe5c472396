"""A Kafka-protocol broker in one process, for laptops and tests."""
