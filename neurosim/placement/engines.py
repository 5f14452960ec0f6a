"""What engines beside circuits keep, and so which programs of spiking networks a chip of circuits can learn by."""

from neurosim.hardware import HardwareProfile
from neurosim.networks import Topology
from neurosim.placement.families import family_of
from neurosim.placement.programs import Program, count_synapse_words


def why_not_here(program: Program, topology: Topology, profile: HardwareProfile) -> str | None:
    """Why a chip does not keep what a program needs, with what to do instead; None where it does, or a processor learns.

    Parameters
    ----------
    program : Program
        One that computes what the network learns by (`programs.why_not`).
    topology : Topology
        Of a spiking network.
    profile : HardwareProfile
    """
    if family_of(profile).is_program:
        return None
    learning = profile.learning
    said = f"{learning.source}: {profile.sources[learning.source]}"
    if learning.traces is None:
        return (
            f"but the neurons of {profile.name} are circuits, and its profile states no traces by which they learn (learning.traces; {said}); "
            "set hardware.learning to host, or choose a chip that keeps traces, such as loihi1 or reckon"
        )
    if topology.spiking.learning.instant_layers and len(topology.hidden) > 1:
        return f"whose errors go from layer to layer, but the engines of {profile.name} take one signal for each neuron; use one layer, or hardware.learning host"
    if program.has_history:
        return f"which keeps a history, but {profile.name} keeps traces alone (learning.traces; {said}); use program eprop_clock or eprop_factorised"
    words = count_synapse_words(program, topology)
    most = 0 if learning.traces.synapse is None else learning.traces.synapse.value
    if words <= most:
        return None
    return (
        f"which keeps {words} number{'s' * (words > 1)} for each synapse{_words_text(program, topology)}, but {profile.name} has {most or 'none'} "
        f"beside the weight (learning.traces.synapse; {said}); {_less_text(topology, most)}"
    )


def _words_text(program, topology):
    """What these numbers are."""
    spiking = topology.spiking
    names = ["the trace of the pre neuron"] * program.repeats_traces
    names += ["eps of the adaptation"] * (spiking.adaptive > 0 and program.has_synapse_traces)
    names += ["a sum of eligibility" if spiking.readout != "every" else "a filtered trace"]
    return f" ({' and '.join(names)})"


def _less_text(topology, most):
    if topology.spiking.adaptive > 0:
        return "use neurons that do not adapt (network.type lif), or hardware.learning host"
    if most == 0:
        return "use training.method eprop_factorised with network.readout every, or hardware.learning host"
    return "use hardware.program eprop_clock without a cost of rates"
