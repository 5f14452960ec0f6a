"""One change to a good profile, one line of refusal with the file, the line and the key."""

import pytest

from neurosim.documents import bundled_folder
from neurosim.errors import InputError
from neurosim.hardware import load_profile

SANTOS, SPINNAKER, BRAINSCALES, LOIHI = "spinnaker2_santos", "spinnaker2", "brainscales2", "loihi1"
CORES = 'cores: {value: 4, unit: "1", kind: specified, source: hoeppner2019, confidence: V}'
CLOCK = "{value: 500.0e+6, unit: Hz"
LOCAL = "{value: 65536, unit: B, kind"
PRICE = "{value: 1e-12, unit: J, kind: measured, meaning: marginal, source: %s, confidence: V}"

# name: (profile, text to replace, replacement, key in the message, words in the message)
CASES = {
    "unknown key at the top": (SANTOS, CORES, CORES + "\nkores: 3", "kores", "nearest: cores"),
    "unknown key below": (SANTOS, "  overflow: refuse", "  overflw: refuse", "storage.overflw", "nearest: overflow"),
    "unknown key in a number": (SANTOS, CORES, CORES.replace("unit", "units"), "cores.units", "nearest: unit"),
    "unknown price": (SANTOS, "        neuron_update:\n", "        neuron_updates:\n", "energy.price_sets.hoeppner2019_as_cited.prices.neuron_updates", "nearest: neuron_update"),
    "unknown limit": (BRAINSCALES, "  fan_in_per_neuron:", "  fan_in_per_neurons:", "limits.fan_in_per_neurons", "nearest: fan_in_per_neuron"),
    "unknown family": (SANTOS, "family: address_space", "family: adress_space", "storage.family", "nearest: address_space"),
    "no family": (SANTOS, "  family: address_space\n", "", "storage.family", "missing"),
    "key of another family": (SANTOS, "  overflow: refuse", "  rows: 3", "storage.rows", "known: code_bytes"),
    "no source": (SANTOS, "source: hoeppner2019, confidence: V}\n\n#", "confidence: V}\n\n#", "cores.source", "missing"),
    "no unit": (SANTOS, CORES, CORES.replace(' unit: "1",', ""), "cores.unit", "missing"),
    "no kind": (SANTOS, CORES, CORES.replace(" kind: specified,", ""), "cores.kind", "missing"),
    "no meaning of a price": (SANTOS, "          meaning: marginal\n", "", "energy.price_sets.hoeppner2019_as_cited.prices.synaptic_op.meaning", "missing"),
    "unknown kind": (SANTOS, CORES, CORES.replace("specified", "specifed"), "cores.kind", "nearest: specified"),
    "unknown meaning": (SANTOS, "          meaning: marginal\n", "          meaning: average\n", "energy.price_sets.hoeppner2019_as_cited.prices.synaptic_op.meaning", "average_including_static"),
    "source not listed": (SANTOS, CORES, CORES.replace("hoeppner2019", "hoppner2019"), "cores.source", "nearest: hoeppner2019"),
    "source of an alternative": (SANTOS, "source: gtsrb_estimator,", "source: gtsrb,", "energy.price_sets.hoeppner2019_as_cited.prices.synaptic_op.alternatives.0.source", "not in sources"),
    "source of learning": (SANTOS, "rewiring: on_chip, source: liu2018", "rewiring: on_chip, source: liu", "learning.source", "nearest: liu2018"),
    "remembered number": (SANTOS, CORES, CORES.replace("confidence: V", "confidence: M"), "cores.confidence", "only remembered"),
    "assumption called verified": (SANTOS, "kind: assumed, source: neurosim, confidence: A,\n     note: \"no pub", "kind: assumed, source: neurosim, confidence: V,\n     note: \"no pub", "storage.code_bytes.confidence", "go together"),
    "verified called assumption": (SANTOS, CORES, CORES.replace("confidence: V", "confidence: A"), "cores.kind", "go together"),
    "assumption without a reason": (SANTOS, CORES, CORES.replace("confidence: V", "confidence: A").replace("specified", "assumed"), "cores.note", "why"),
    "widths out of order": (LOIHI, "allowed: [1, 2, 3,", "allowed: [1, 3, 2,", "synapse_word.weight_bits.allowed", "ascending"),
    "widths beside the widest": (LOIHI, "5, 6, 8]", "5, 6]", "synapse_word.weight_bits.allowed", "the last one being value, 8"),
    "widths of a number that has none": (SANTOS, LOCAL, LOCAL.replace("unit: B", "unit: B, allowed: [65536]"), "storage.local_bytes.allowed", "known:"),
    "targets of nothing": ("truenorth", "    of: core\n", "", "limits.targets_per_neuron.of", "missing"),
    "targets of unknown places": ("truenorth", "    of: core\n", "    of: cores\n", "limits.targets_per_neuron.of", "nearest: core"),
    "wrong unit": (SANTOS, LOCAL, LOCAL.replace("unit: B", "unit: KB"), "storage.local_bytes.unit", "expected 'B'"),
    "energy in pJ": (SANTOS, "{value: 2.19e-9, unit: J", "{value: 2190, unit: pJ", "energy.price_sets.hoeppner2019_as_cited.prices.neuron_update.unit", "expected 'J'"),
    "energy out of range": (SANTOS, "{value: 2.19e-9, unit: J", "{value: 2.19, unit: J", "energy.price_sets.hoeppner2019_as_cited.prices.neuron_update.value", "1e-18 to 0.001 J"),
    "price of zero": (SANTOS, "{value: 2.19e-9, unit: J", "{value: 0, unit: J", "energy.price_sets.hoeppner2019_as_cited.prices.neuron_update.value", "leave an unknown number out"),
    "negative price": (SANTOS, "{value: 2.19e-9, unit: J", "{value: -2.19e-9, unit: J", "energy.price_sets.hoeppner2019_as_cited.prices.neuron_update.value", "found -2.19e-09"),
    "clock out of range": (SANTOS, CLOCK, CLOCK.replace("500.0e+6", "500"), "corners.high.clock.value", "1000 to 1e+11 Hz"),
    "alternative out of range": (SANTOS, "{value: 1.5e-9", "{value: 1.5", "energy.price_sets.hoeppner2019_as_cited.prices.synaptic_op.alternatives.0.value", "1e-18 to 0.001 J"),
    "infinite": (SANTOS, CLOCK, CLOCK.replace("500.0e+6", ".inf"), "corners.high.clock.value", "finite"),
    "not a number": (SANTOS, CLOCK, CLOCK.replace("500.0e+6", ".nan"), "corners.high.clock.value", "finite"),
    "text for a number": (SANTOS, CLOCK, CLOCK.replace("500.0e+6", "500_000_000"), "corners.high.clock.value", "should be a number"),
    "boolean for a number": (SANTOS, CORES, CORES.replace("value: 4", "value: true"), "cores.value", "should be a number"),
    "bare number": (SANTOS, CORES, "cores: 4", "cores", "mapping"),
    "zero cores": (SANTOS, CORES, CORES.replace("value: 4", "value: 0"), "cores.value", "expected 1 to"),
    "half a core": (SANTOS, CORES, CORES.replace("value: 4", "value: 4.5"), "cores.value", "whole number"),
    "half a byte": (SANTOS, LOCAL, LOCAL.replace("65536", "65536.5"), "storage.local_bytes.value", "whole number"),
    "too many bits": (BRAINSCALES, "weight_bits: {value: 6,", "weight_bits: {value: 65,", "synapse_word.weight_bits.value", "1 to 64 bit"),
    "code fills the memory": (SANTOS, LOCAL, LOCAL.replace("65536", "12288"), "storage.code_bytes.value", "less than local_bytes"),
    "shared memory used but absent": (SANTOS, "overflow: refuse", "overflow: spill", "storage.overflow", "shared_bytes"),
    "spill to nowhere": (BRAINSCALES, "    action: error\n  synapses", "    action: spill\n  synapses", "limits.neurons_per_core.action", "spill"),
    "more rows per weight than rows": (BRAINSCALES, "rows_per_signed_weight: {value: 2,", "rows_per_signed_weight: {value: 512,", "storage.rows_per_signed_weight.value", "at most rows"),
    "word without a sign": (SANTOS, "  sign_bits: {value: 1, unit: bit, kind: specified, source: deep_r_c, confidence: V}\n", "", "synapse_word.sign_bits", "address_space needs it"),
    "word without a weight": (BRAINSCALES, "  weight_bits: {value: 6,", "  sign_bits: {value: 6,", "synapse_word.weight_bits", "crossbar_multibit needs it"),
    "memory without its code": (BRAINSCALES, "  code_bytes:\n    {value: 8192, unit: B, kind: assumed, source: neurosim, confidence: A,\n     note: \"no published size of a learning program; half of the PPU's memory; override it in the scenario\"}\n", "", "storage.code_bytes", "beside local_bytes"),
    "event price and memory price": (SANTOS, "        neuron_update:\n", f"        local_read_byte: {PRICE % 'liu2018'}\n        neuron_update:\n", "energy.price_sets.hoeppner2019_as_cited.prices.local_read_byte", "charged twice"),
    "event price and cycle price": (SANTOS, "        neuron_update:\n", f"        core_cycle: {PRICE % 'liu2018'}\n        neuron_update:\n", "energy.price_sets.hoeppner2019_as_cited.prices.core_cycle", "charged twice"),
    "cycle price and event price": (SPINNAKER, "accounting: cycle\n      kind: derived\n      source: derived_notes\n      corner: 0.8V\n      prices:\n", f"accounting: cycle\n      kind: derived\n      source: derived_notes\n      corner: 0.8V\n      prices:\n        synaptic_op: {PRICE % 'yan2021'}\n", "energy.price_sets.scholze2026_arm_300mhz.prices.synaptic_op", "charged twice"),
    "program price and event price": (SPINNAKER, "      prices:\n", f"      prices:\n        synaptic_op: {PRICE % 'yan2021'}\n", "energy.price_sets.derived_from_program.prices.synaptic_op", "charged twice"),
    "accounting by a program without one": (SANTOS, "      program: cortex_m4f\n", "", "energy.price_sets.derived_from_program.program", "go together"),
    "unknown program": (SANTOS, "      program: cortex_m4f\n", "      program: cortex_m4\n", "energy.price_sets.derived_from_program.program", "nearest: cortex_m4f"),
    "unknown generator": (SANTOS, "      draws: chip\n", "      draws: chips\n", "energy.price_sets.derived_from_program.draws", "nearest: chip"),
    "program beside an array": (BRAINSCALES, "none_published: {accounting: event, kind: measured,", "none_published: {accounting: program, program: cortex_m4f, kind: measured,", "energy.price_sets.none_published.accounting", "crossbar_multibit"),
    "barriers out of order": (LOIHI, "tiles: {value: 32,", "tiles: {value: 1,", "energy.price_sets.davies2018_sim.latencies.barriers", "ascending"),
    "memory price and cycle price": (SPINNAKER, "accounting: cycle", "accounting: memory", "energy.price_sets.scholze2026_arm_300mhz.prices.core_cycle", "charged twice"),
    "average beside static": (SPINNAKER, "meaning: dynamic_total", "meaning: average_including_static", "energy.price_sets.derived_from_program.prices.core_cycle.meaning", "counts static twice"),
    "second static power of a level": (SPINNAKER, "  note: >-\n    The energy of a NoC hop", "  static:\n    core: {value: 1.0e-3, unit: W, kind: measured, source: notes, confidence: S}\n  note: >-\n    The energy of a NoC hop", "energy.price_sets.derived_from_program.static.core", "a second static power of the level core"),
    "static power twice": (SPINNAKER, "        chip: {value: 75.2e-3,", "        chip: {value: 1.0, unit: W, kind: measured, source: notes, confidence: S}\n        chip: {value: 75.2e-3,", "energy.price_sets.derived_from_program.static.chip", "stands twice"),
    "whole hop and hop by direction": (SANTOS, "        neuron_update:\n", f"        hop: {PRICE % 'liu2018'}\n        hop_east_west: {PRICE % 'liu2018'}\n        neuron_update:\n", "energy.price_sets.hoeppner2019_as_cited.prices.hop_east_west", "charged twice"),
    "price that is inside another": (SANTOS, "      kind: specified\n      source: keras_spiking\n", "      kind: specified\n      inside: [neuron_update]\n      source: keras_spiking\n", "energy.price_sets.hoeppner2019_as_cited.prices.neuron_update", "charged twice: inside"),
    "unknown word inside": (SANTOS, "      kind: specified\n      source: keras_spiking\n", "      kind: specified\n      inside: [neuron_updates]\n      source: keras_spiking\n", "energy.price_sets.hoeppner2019_as_cited.inside.0", "nearest: neuron_update"),
    "price in a fitted set of others": (SANTOS, "      kind: specified\n      source: keras_spiking\n", "      kind: fitted\n      source: gtsrb_estimator\n", "energy.price_sets.hoeppner2019_as_cited.prices.synaptic_op.source", "do not mix"),
    "mesh smaller than the chip": (
        LOIHI, 'cores_per_tile: {value: 4,', 'cores_per_tile: {value: 3,',
        "network.mesh.cores_per_tile.value", "width x height x cores_per_tile is 96, the chip has 128 cores",
    ),
    "unknown default price set": (SANTOS, "price_set: derived_from_program", "price_set: hoppner2019", "energy.price_set", "nearest: hoeppner2019_as_cited"),
    "no price set": (SPINNAKER, "  price_set: derived_from_program\n", "", "energy.price_set", "required and missing"),
    "source of a price set": (SANTOS, "      source: keras_spiking\n      note: >-\n        Neither", "      source: keras_spikin\n      note: >-\n        Neither", "energy.price_sets.hoeppner2019_as_cited.source", "nearest: keras_spiking"),
    "corner that does not exist": (SANTOS, "corner: high\n", "corner: hihg\n", "corner", "nearest: high"),
    "corner of a set that does not exist": (SPINNAKER, "      corner: 0.8V\n", "      corner: 0.9V\n", "energy.price_sets.derived_from_program.corner", "not in corners"),
    "corner of a chip without corners": (BRAINSCALES, "cores: {value: 2", "corner: high\ncores: {value: 2", "corner", "missing or empty"),
    "corners without a default": (SANTOS, "corner: high\n", "", "corner", "high, low"),
    "corner without a price set": (SPINNAKER, "  0.5V:\n    voltage", "  0.3V:\n    voltage: {value: 0.3, unit: V, kind: specified, source: notes, confidence: S}\n  0.5V:\n    voltage", "corners.0.3V", "no price set holds"),
    "two default corners": (SPINNAKER, "corner: 0.8V\ncorners", "corner: 0.5V\ncorners", "energy.price_set", "the default corner is 0.5V"),
    "two clocks": (SANTOS, "time:\n", "time:\n  clock: {value: 500.0e+6, unit: Hz, kind: specified, source: hoeppner2019, confidence: V}\n", "time.clock", "beside the clocks of corners"),
    "voltage in mV": (SANTOS, "{value: 1.0, unit: V,", "{value: 1000, unit: mV,", "corners.high.voltage.unit", "expected 'V'"),
    "negative bytes": (SANTOS, LOCAL, LOCAL.replace("65536", "-65536"), "storage.local_bytes.value", "found -65536"),
    "chips that do not add up": (SANTOS, "\ncores:", "\nchips:\n  - chips: {value: 2, unit: \"1\", kind: specified, source: hoeppner2019, confidence: V}\n    working_cores: {value: 3, unit: \"1\", kind: specified, source: hoeppner2019, confidence: V}\ncores:", "cores.value", "expected 6"),
    "all cores reserved": (SANTOS, "\ncores:", "\nchips:\n  - chips: {value: 1, unit: \"1\", kind: specified, source: hoeppner2019, confidence: V}\n    working_cores: {value: 4, unit: \"1\", kind: specified, source: hoeppner2019, confidence: V}\n    reserved_cores: {value: 4, unit: \"1\", kind: specified, source: hoeppner2019, confidence: V}\ncores:", "chips.0.reserved_cores.value", "less than working_cores"),
    "unknown accounting": (SANTOS, "accounting: event", "accounting: events", "energy.price_sets.hoeppner2019_as_cited.accounting", "nearest: event"),
    "other schema version": (SANTOS, "schema_version: 1", "schema_version: 2", "schema_version", "should be 1"),
    "name of another form": (SANTOS, "name: spinnaker2_santos", "name: SpiNNaker 2", "name", "should match"),
    "empty source": (SANTOS, 'neurosim: "Assumption of the neurosim project"', 'neurosim: ""', "sources.neurosim", "at least 1 character"),
    "key twice": (SANTOS, CORES, f"{CORES}\n{CORES}", "cores", "stands twice"),
}  # fmt: skip


def malformed(folder, profile, old, new):
    """Path of the changed profile and the line of the change."""
    text = (bundled_folder("hardware_profiles") / f"{profile}.yaml").read_text(encoding="utf-8")
    assert text.count(old) >= 1, old
    path = folder / "chip.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize("profile, old, new, key, words", CASES.values(), ids=CASES.keys())
def test_malformed_profile_is_refused_in_one_line(tmp_path, profile, old, new, key, words):
    path = malformed(tmp_path, profile, old, new)
    with pytest.raises(InputError) as caught:
        load_profile(path)
    message = str(caught.value)
    assert message.isprintable() and len(message) < 500
    file, line, rest = message.split(":", 2)
    assert file == str(path) and rest.strip().split(":")[0].split()[0] == key, message
    assert words in message, message
    # The line is that of the key, or of the nearest key above it when the key itself is missing.
    lines = path.read_text(encoding="utf-8").splitlines()
    shown = lines[int(line) - 1]
    parts = [part for part in key.split(".") if not part.isdigit()]
    assert any(f"{part}:" in shown for part in parts) or (len(parts) == 1 and line == "1"), (message, shown)


def test_average_prices_are_accepted_without_static_power(tmp_path):
    path = malformed(tmp_path, SANTOS, "          meaning: marginal\n", "          meaning: average_including_static\n")
    assert load_profile(path).choose("hoeppner2019_as_cited").energy.prices.synaptic_op.meaning == "average_including_static"


def test_memory_accounting_takes_event_and_byte_prices(tmp_path):
    path = malformed(tmp_path, SANTOS, "accounting: event", "accounting: memory")
    path.write_text(
        path.read_text(encoding="utf-8").replace(
            "        neuron_update:\n", f"        local_read_byte: {PRICE % 'liu2018'}\n        neuron_update:\n"
        ),
        encoding="utf-8",
    )
    assert load_profile(path).choose("hoeppner2019_as_cited").energy.prices.local_read_byte.value == 1e-12
