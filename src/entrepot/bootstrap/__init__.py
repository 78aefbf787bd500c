"""Composition root: settings, supervisor, processes, application."""
