"""The fleet's only door: routes, tokens, balancing, merged docs."""
