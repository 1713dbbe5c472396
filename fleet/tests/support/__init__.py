"""Stand-ins for the fleet's services: so small that a whole fleet of them starts in a moment."""
