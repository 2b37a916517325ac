"""What is written for TensorBoard."""
