"""Hardware profiles: what a chip can hold and what its events cost, each number with its source."""

from neurosim.hardware.loader import audit_profile, check_profile, list_profiles, load_profile, make_profile, override_profile
from neurosim.hardware.quantities import Price, Quantity, iter_quantities
from neurosim.hardware.schema import KNOWN_LIMITS, HardwareProfile

__all__ = [
    "KNOWN_LIMITS",
    "HardwareProfile",
    "Price",
    "Quantity",
    "audit_profile",
    "check_profile",
    "iter_quantities",
    "list_profiles",
    "load_profile",
    "make_profile",
    "override_profile",
]
