"""A payment provider to develop and test with: an HTTP server of its own, which takes no real money."""
