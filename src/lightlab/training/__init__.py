"""What rides along with the Trainer: run folders, early stopping and best weights, progress, predictions."""
