"""A whole training step as one graph of machine code: loss, gradients, optimizer and what metrics are made of."""
