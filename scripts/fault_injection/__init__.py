"""What `scripts/faults` injects, a module for each family of faults."""
