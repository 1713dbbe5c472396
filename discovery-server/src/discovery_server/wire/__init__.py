"""Instances and states as JSON and XML, and back."""
