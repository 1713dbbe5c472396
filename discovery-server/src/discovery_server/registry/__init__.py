"""Who is registered, by which rules, and how servers come to know the same. Pure; the clock is passed in."""
