"""Stands where TensorFlow would be found, for all that do without it.

TensorBoard, and so Lightning and lightlab, import it wherever it is installed, for nothing that is used here: seconds
and memory that only those pay who have it for something else.
"""

raise ModuleNotFoundError("TensorFlow is hidden from those that need none.", name="tensorflow")
