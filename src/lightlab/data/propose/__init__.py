"""Looking at data, and writing a config for it."""
