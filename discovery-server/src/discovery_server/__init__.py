"""A Eureka-compatible registry of running instances."""
