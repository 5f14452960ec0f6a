"""Networks from elsewhere and to elsewhere: one file per format, all over one `TrainedNetwork`.

What a format cannot say is refused by the name of the node or layer that it is about. Libraries of formats are loaded by the function that
needs them.
"""

from neurosim.interchange.formats import SUFFIXES, holds_network, looks_like_network, network_of, read_any

__all__ = ["SUFFIXES", "holds_network", "looks_like_network", "network_of", "read_any"]
