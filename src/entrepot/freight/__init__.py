"""Consignments, parcels, labels and tracking events."""
