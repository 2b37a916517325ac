"""Neural networks for classification and regression from one YAML file, trained by the Lightning Trainer."""

__version__ = "0.1.0"
