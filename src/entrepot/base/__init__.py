"""Words without business that every other package may use."""
