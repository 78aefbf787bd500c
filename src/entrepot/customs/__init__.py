"""Duty, import tax, quota, declarations and screening, by dated rules that are data."""
