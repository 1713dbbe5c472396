"""What the tests of every service share: PostgreSQL and Kafka, the service in process, tokens."""
