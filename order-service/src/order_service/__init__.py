"""Orders: placing, tracking, fulfilment."""
