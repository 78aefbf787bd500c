"""Programs' way in: JSON over HTTP."""
