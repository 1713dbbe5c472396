"""Serves configuration out of Git, as Spring Cloud Config does."""
