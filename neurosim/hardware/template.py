"""A profile file to begin with: a small chip of assumed numbers, or a copy of a chip whose numbers can be replaced in one place."""

import re

from neurosim.errors import InputError
from neurosim.hardware.loader import list_profiles, load_profile
from neurosim.hardware.numbers import list_numbers
from neurosim.hardware.quantities import iter_quantities
from neurosim.hardware.schema import HardwareProfile
from neurosim.units import format_bytes

_HEAD = """\
# {title}
#
#   neurosim profiles check {name}.yaml                        all that is wrong with this file, one line each
#   neurosim profiles show {name}.yaml                         every number, with its source
#   neurosim check digits_santos --profile {name}.yaml         does a network fit?
#   neurosim profiles diff {other} {name}.yaml
#
# A number stands either as a record with a source of its own,
#   local_bytes: {{value: 65536, unit: B, kind: specified, source: KEY_OF_SOURCES, confidence: V}}
# (kind: measured, simulated, fitted, specified or derived; confidence: V read in the primary source, S quoted by a secondary one,
# D arithmetic), or under assume, where one source is enough for all. What nobody knows is left out, and is never 0.
"""

_BLANK = """\
schema_version: 1
name: {name}
title: {name}, a chip that does not exist yet
description: A chip of cores with a memory each, all of whose numbers are assumed.
sources: {{}}

assume:
  source: Design of {name}, nobody's measurement        # one source for all numbers below
  numbers:
    cores: 16
    storage.local_bytes: 64 KiB               # memory of a core
    storage.code_bytes: 16 KiB                # part of it for program and stack
    synapse_word.pre_index_bits: 16           # a stored synapse
    synapse_word.post_index_bits: 16
    synapse_word.weight_bits: 32
    synapse_word.sign_bits: 1
    formats.activation_bits: 32               # values during training
    formats.error_bits: 32
    formats.gradient_bits: 32
    formats.input_bits: 32
    formats.random_state_bits: 128
    formats.row_pointer_bits: 16              # for hardware.execution: event_driven
    time.clock: 200 MHz
    cycles.synaptic_op: 10
    cycles.synaptic_update: 20
    cycles.neuron_update: 50
    prices.synaptic_op: 20 pJ                 # per event; what is left out makes a total a lower bound
    prices.synaptic_update: 40 pJ
    prices.neuron_update: 100 pJ
    static.chip: 10 mW
    # limits.fan_in_per_neuron: 4096          # limits that no memory implies
    # limits.neurons_per_core: 1024
    # prices.packet: 100 pJ                   # between cores
    # prices.random_draw: 10 pJ

storage: {{family: address_space, shares_code_and_data: true}}   # others: neurosim schema profile
learning: {{where: same_core, rewiring: on_chip, source: assumed}}
energy:
  price_set: design
  price_sets:
    design: {{accounting: event, kind: assumed, source: assumed}}
"""


def new_profile(name, base=None):
    """Text of a profile file, with comments.

    Parameters
    ----------
    name : str
        Of the chip.
    base : str, optional
        Name or path of a profile to begin with: a copy, with every number of it as a comment under ``assume``, to be uncommented and changed.
        Without it, a small chip of assumed numbers.

    Raises
    ------
    InputError
        A name that cannot be one, or that a bundled profile has; or a base that cannot be used.
    """
    if not re.fullmatch("[a-z][a-z0-9_]{0,79}", name):
        raise InputError(f"NAME: found {name!r}; expected lower-case letters, digits and _, a letter first, such as mychip")
    if name in list_profiles():
        raise InputError(f"NAME: {name} is a bundled profile; take another name")
    if base is None:
        return _HEAD.format(title=f"Hardware profile {name}.", name=name, other="spinnaker2") + "\n" + _BLANK.format(name=name)
    profile = load_profile(base)
    head = _HEAD.format(title=f"Hardware profile {name}, begun as a copy of {profile.name}.", name=name, other=base)
    # Top level only: the same words may stand deeper. A file may begin with a byte order mark or have line ends of Windows.
    text = profile.text.lstrip("\ufeff").replace("\r\n", "\n")
    text = re.sub(r"(?m)^name:.*$", f"name: {name}", text, count=1)
    block = "" if profile.assume is not None else _assume_block(name, profile)
    place = re.search(r"(?m)^sources:", text)
    return f"{head}\n{text[: place.start()]}{block}{text[place.start() :]}"


def _assume_block(name, profile):
    """Every number of a profile as a comment below ``assume``; prices by the short key of the set in use."""
    own, chosen = {}, f"energy.price_sets.{profile.energy.price_set}."
    stated = {".".join(map(str, path)): quantity for path, quantity in iter_quantities(profile)}
    for key in list_numbers(HardwareProfile, profile.model_dump()):
        if key in stated and (key.startswith(chosen) or not key.startswith("energy.price_sets.")):
            own[key.removeprefix(chosen)] = stated[key]
    width = max(map(len, own)) + 16
    lines = [f"    # {f'{key}: {quantity.value!r}':{width}}# {_unit(quantity)}" for key, quantity in own.items()]
    return "\n".join([
        "# Numbers of your own: take the # away and change them. They replace those below, and every table calls them assumed.",
        "assume:",
        f"  source: Design of {name}, nobody's measurement",
        "  numbers:",
        *lines,
        "",
        "",
    ])  # fmt: skip


def _unit(quantity):
    if quantity.unit == "B":
        return format_bytes(quantity.value)
    return "count" if quantity.unit == "1" else quantity.unit


def diff_profiles(first, second):
    """Numbers and words in which two profiles differ.

    Parameters
    ----------
    first, second : HardwareProfile

    Returns
    -------
    list of dict
        ``key``, ``unit``, ``values`` (of both, None where one does not state it) and, for numbers of both, ``ratio`` of the second to the first. Prices, static
        power and cycles of the set in use stand under the key ``chosen``, whatever the sets are called.
    """
    told = [_told(profile) for profile in (first, second)]
    rows = []
    for key in dict.fromkeys(key for one in told for key in one):
        values, units = zip(*(one.get(key, (None, None)) for one in told), strict=True)
        if values[0] != values[1] or None not in units and units[0] != units[1]:
            is_number = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)
            rows.append({
                "key": key,
                "unit": units[0] or units[1],
                "values": list(values),
                "ratio": values[1] / values[0] if is_number and values[0] else None,
            })  # fmt: skip
    return rows


def _told(profile):
    """What a profile says, flat: number or word, and unit. Of price sets that in use alone."""
    storage, learning, energy = profile.storage, profile.learning, profile.energy
    words = {
        "storage.family": storage.family,
        "storage.release": storage.release,
        "learning.where": learning.where,
        "learning.rewiring": learning.rewiring,
    }
    words |= {"corner": profile.corner, "price set": energy.price_set, "accounting": energy.accounting, "program": energy.chosen.program}
    told = {key: (value, None) for key, value in words.items() if value is not None}
    chosen = f"energy.price_sets.{energy.price_set}."
    if profile.clock is not None:
        told["clock"] = (profile.clock.value, profile.clock.unit)
    for path, quantity in iter_quantities(profile):
        key = ".".join(map(str, path))
        if key.startswith(chosen) or not key.startswith(("energy.price_sets.", "corners.", "time.clock")):
            told[key.removeprefix(chosen)] = (quantity.value, quantity.unit)
    return told
