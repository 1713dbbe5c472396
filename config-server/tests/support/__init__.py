"""What the tests share: repositories to serve, and a server on a free port."""
