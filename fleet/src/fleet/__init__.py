"""The command line that runs the whole fleet on one machine."""
