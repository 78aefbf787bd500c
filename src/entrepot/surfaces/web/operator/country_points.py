"""Where countries are drawn on the map: whole degrees near the place where most people live, exact enough for a world map."""

from collections.abc import Mapping
from typing import Final

COUNTRY_POINTS: Final[Mapping[str, tuple[int, int]]] = {
    "AE": (25, 55), "AR": (-35, -59), "AT": (48, 16), "AU": (-34, 151), "BE": (51, 4), "BG": (43, 23), "BR": (-23, -47), "CA": (44, -79),
    "CH": (47, 8), "CL": (-33, -71), "CN": (31, 121), "CO": (5, -74), "CY": (35, 33), "CZ": (50, 14), "DE": (51, 10), "DK": (56, 12),
    "EE": (59, 25), "EG": (30, 31), "ES": (40, -4), "FI": (60, 25), "FR": (47, 2), "GB": (53, -2), "GR": (38, 24), "HK": (22, 114),
    "HR": (46, 16), "HU": (47, 19), "ID": (-6, 107), "IE": (53, -7), "IL": (32, 35), "IN": (23, 78), "IS": (64, -22), "IT": (43, 12),
    "JP": (36, 140), "KR": (37, 127), "KW": (29, 48), "LT": (55, 25), "LU": (50, 6), "LV": (57, 24), "MT": (36, 14), "MX": (19, -99),
    "MY": (3, 102), "NL": (52, 5), "NO": (60, 11), "NZ": (-37, 175), "PH": (15, 121), "PL": (52, 20), "PT": (39, -9), "RO": (44, 26),
    "SA": (25, 47), "SE": (59, 17), "SG": (1, 104), "SI": (46, 15), "SK": (48, 18), "TH": (14, 101), "TR": (41, 29), "TW": (25, 121),
    "US": (39, -95), "VN": (16, 107), "ZA": (-26, 28),
}  # fmt: skip
"""Latitude and longitude in degrees by country code."""
