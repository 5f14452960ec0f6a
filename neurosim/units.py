"""Numbers as people read them. None is an unknown number and never a zero."""

import math

UNKNOWN = "unknown"
_BYTE_UNITS = ["B", "KB", "MB", "GB", "TB", "PB"]
_SI_PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P"}


def format_bytes(n):
    """Bytes with KB = 1024 B, as chip memories are counted: ``65536 -> "64.0 KB"``, ``512 -> "512 B"``."""
    if n is None:
        return UNKNOWN
    if abs(n) < 1024:
        return f"{n:g} B"
    value, unit = n, 0
    # 1023.95 would be written as 1024.0 of the smaller unit.
    while abs(value) >= (1024 if unit == 0 else 1023.95) and unit < len(_BYTE_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f} {_BYTE_UNITS[unit]}"


def format_si(value, unit):
    """Three digits and a power-of-1000 prefix: ``(1.234e-3, "J") -> "1.23 mJ"``. Micro is written u."""
    if value is None:
        return UNKNOWN
    if value == 0 or not math.isfinite(value):
        return f"{value:g} {unit}"
    rounded = float(f"{value:.2e}")  # first, so that 999.9 becomes 1.00 k and not 1000
    exponent = min(max(3 * math.floor(math.log10(abs(rounded)) / 3 + 1e-12), -18), 15)
    mantissa = float(f"{rounded / 10.0**exponent:.3g}")
    decimals = max(0, 2 - math.floor(math.log10(abs(mantissa)))) if abs(mantissa) >= 1 else 3
    return f"{mantissa:.{decimals}f} {_SI_PREFIXES[exponent]}{unit}"


def format_count(n):
    """Whole number with thousands apart: ``65536 -> "65,536"``."""
    return UNKNOWN if n is None else f"{n:,d}"
