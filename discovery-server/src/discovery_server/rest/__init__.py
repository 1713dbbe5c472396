"""Eureka's REST over HTTP: every path below /eureka."""
