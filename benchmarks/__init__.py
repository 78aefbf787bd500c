"""Measurements and pictures: what `make accept` and `make screenshots` run."""
