"""Measures this broker and Apache Kafka side by side: `python -m bench` beside this folder, or `make bench-kafka`."""
