"""Charges, refunds, provider webhooks."""
