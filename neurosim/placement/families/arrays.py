"""What arrays of synapses have in common: the array multiplies, and the processor beside it sees its sums and its cells."""

import numpy as np

from neurosim.placement.checks import Check, cite
from neurosim.placement.families.base import Family
from neurosim.units import format_count


class ArrayFamily(Family):
    """Slots are addressed by their place, so there are no indices, row pointers or arrival lists."""

    home = "synapse_array"
    unshared_text = (
        "has a circuit for every synapse: a kernel would be unrolled, one copy for each place, or the array loaded anew place by place, and "
        "neither learns a shared weight (Esser 2016 trains such kernels off the chip)"
    )

    def forward(self, t, phase, activity, walks, visits):
        # The processor reads every activation once and gets the sums by converters; it adds biases as they come.
        t.read_pre(phase, walks * t.shape.n_pre)
        t.write(phase, "neuron_state", t.per_segment(walks * (t.shape.n_positions // t.shape.n_pre) * t.w.activation))
        t.read_biases(phase, activity.passes[0])

    def computes_sums_elsewhere(self, profile):
        """A processor beside the array, which has a memory."""
        return profile.storage.local_bytes is not None

    def propose(self, t, events, proposals):
        """Look through the places of the neuron."""
        places, _ = self.places_per_neuron(t.placement.profile)
        t.read("rewire", self.home, t.per_segment(proposals * places * t.w.mark))


class CrossbarFamily(ArrayFamily):
    """A row per input axon and a column per neuron: a removed synapse frees no row but an empty one."""

    def rows_per_weight(self, profile):
        storage = profile.storage
        return 1 if storage.shares_signs else storage.rows_per_signed_weight.value

    def has_signed_rows(self, profile):
        return profile.storage.rows_per_signed_weight.value > 1

    def places_per_neuron(self, profile):
        rows = self.rows_per_weight(profile)
        suffix = "" if rows == 1 else " // storage.rows_per_signed_weight"
        return profile.storage.rows.value // rows, cite(profile, "storage.rows" + suffix, profile.storage.rows)

    def in_axon_limits(self, profile, workload):
        """A row for each, or `rows_per_signed_weight`, unless synapses hold labels and share rows."""
        found = super().in_axon_limits(profile, workload)
        if profile.synapse_word.label_bits is None:
            found.append(self.places_per_neuron(profile))
        return found

    def merged_columns(self, profile, n_active, n_post, fan_in):
        most = profile.storage.merged_columns
        return np.clip(-(-n_active // (n_post * fan_in)), 1, 1 if most is None else most.value)

    def fixed_checks(self, profile, layout):
        if profile.storage.merged_columns is not None:
            return  # how many a neuron takes depends on its fan-in
        columns, n_neurons = profile.storage.columns, layout.own.sum(axis=0)
        yield Check("columns", n_neurons, columns.value, "columns", cite(profile, "storage.columns", columns), layout.cores)

    def array_checks(self, room):
        storage, layout = room.profile.storage, room.layout
        rows = self.rows_per_weight(room.profile)
        key = "storage.rows * storage.columns" if storage.shares_signs else "storage.rows // storage.rows_per_signed_weight * storage.columns"
        source, n_cells = cite(room.profile, key, storage.rows), storage.rows.value // rows * storage.columns.value
        yield Check("synapse_array", layout.per_core(room.slots), n_cells, "slots", source, layout.cores)
        if storage.merged_columns is not None:
            fan_in, _ = self.places_per_neuron(room.profile)
            if room.workload.positions is not None and room.with_expected:
                rows = room.workload.positions.on(layout)
                used = layout.per_core(rows.columns(lambda n: self.merged_columns(room.profile, n, np.ones_like(n), fan_in)))
            else:
                used = layout.per_core(layout.n_post * self.merged_columns(room.profile, room.n_active, layout.n_post, fan_in))
            yield Check("columns", used, storage.columns.value, "columns", cite(room.profile, "storage.columns", storage.columns), layout.cores)

    def release_text(self, placement):
        storage = placement.profile.storage
        rows = self.rows_per_weight(placement.profile)
        share = f" and a signed weight takes {rows} rows, so {storage.rows.value // rows} of {storage.rows.value} remain" if rows > 1 else ""
        return f"storage {storage.family}: a removed synapse frees its cell, a row only when its last synapse goes{share}"

    def room_text(self, storage):
        return f"{format_count(storage.rows.value)} x {format_count(storage.columns.value)}"
