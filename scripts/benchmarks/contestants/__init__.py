"""Who takes part: a module for each framework, each run as a process that nothing else is loaded in."""
