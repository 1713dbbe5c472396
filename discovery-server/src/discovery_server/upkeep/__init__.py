"""What keeps the registry true as time goes by: sweeps, probes, a snapshot on disk, a warm start."""
