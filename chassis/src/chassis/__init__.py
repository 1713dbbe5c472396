"""What every service of the fleet does alike."""
