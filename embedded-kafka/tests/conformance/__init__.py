"""What a Kafka client may expect of a broker: the same tests for Apache Kafka and for the embedded one."""
