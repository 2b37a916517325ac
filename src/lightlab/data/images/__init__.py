"""Images: in folders, named by tables, and torchvision's data sets."""
