"""What processes use that a fault starts; it takes long to import, and the table does without it."""
