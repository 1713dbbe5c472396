"""Accounts, sessions, JWT and JWKS."""
