"""HTTP and the worker: no rules."""
