"""The table of training programs of spiking networks: what a chip keeps so that it can learn. One row of facts per program.

The same gradient can be had in several ways (Bellec et al. 2020, Nat. Commun. 11:3625):

- ``bptt`` keeps the history of a sample, a surrogate derivative and a spike for each neuron and step, and goes back through it.
- ``eprop_clock`` keeps traces: of each pre neuron that of its spikes, of each synapse what cannot be split into a factor of its pre and one of its post
  neuron. Every synapse is visited in every step.
- ``eprop_synapse`` is the same with the trace of the pre neuron stored again for each of its synapses, as the published program of SpiNNaker 2 has it.
- ``eprop_spike`` keeps the history of the post neurons (derivatives and learning signals) and the spikes, and visits synapses of neurons that
  have spiked, each for as many steps as its trace lasts; `Workload.trace_cutoff` says when a trace counts as gone (NEST).
- ``eprop_factorised`` keeps traces of neurons alone, as ReckOn does: only where the trace of a synapse is a product of one of its pre and
  one of its post neuron.

Where the loss is of the last read-out or of the mean of them, the learning signal of a sample is one number for each neuron, known at its end.
Then one trace for each synapse is enough, the sum of its eligibility with weights that follow from the leak of the read-out alone, in the place
of a filtered trace and an accumulator. All programs here do so.
"""

import math
from dataclasses import dataclass

from neurosim.errors import find
from neurosim.networks import Topology


@dataclass(frozen=True)
class Program:
    """What one program keeps.

    Attributes
    ----------
    name : str
    has_history : bool
        Whether neurons keep what happened in past steps.
    has_traces : bool
        Whether pre neurons keep a trace of their spikes, and synapses are visited in every step.
    has_synapse_traces : bool
        Whether synapses keep what does not factorise.
    repeats_traces : bool
        Whether each synapse has the trace of its pre neuron again.
    is_online : bool
        Whether it computes no error that goes back from a later step.
    """

    name: str
    has_history: bool = False
    has_traces: bool = True
    has_synapse_traces: bool = True
    repeats_traces: bool = False
    is_online: bool = True


_ROWS = (
    Program("bptt", has_history=True, has_traces=False, has_synapse_traces=False, is_online=False),
    Program("eprop_clock"),
    Program("eprop_synapse", repeats_traces=True),
    Program("eprop_spike", has_history=True, has_traces=False, has_synapse_traces=False),
    Program("eprop_factorised", has_synapse_traces=False),
)

#: Every program by its name.
PROGRAMS = {row.name: row for row in _ROWS}
#: Program of a learning method where nobody chooses one.
_DEFAULTS = {"bptt": "bptt", "eprop": "eprop_clock", "eprop_factorised": "eprop_factorised", "ottt": "eprop_factorised"}


def find_program(name: str) -> Program:
    """The facts of a program.

    Raises
    ------
    InputError
        An unknown name; the message offers the nearest.
    """
    return find(name, PROGRAMS, "program")


def default_program(topology: Topology) -> str | None:
    """Name of the program of a network where nobody chooses one; None for a network that does not spike."""
    return None if topology.spiking is None else _DEFAULTS[topology.spiking.method]


def has_one_signal(topology: Topology) -> bool:
    """Whether the learning signal of a sample is one number for each neuron, known at its end."""
    return topology.spiking is not None and topology.spiking.readout != "every"


def why_not(program: Program, topology: Topology) -> str | None:
    """Why a program does not compute what a network learns by, with what to do instead; None where it does.

    Parameters
    ----------
    program : Program
    topology : Topology
        Of a spiking network.
    """
    spiking = topology.spiking
    assert spiking is not None
    learning = spiking.learning
    # Without synapses within a layer, and with one layer, there are no errors that a trace could miss.
    from_later = learning.layer_errors and not learning.instant_layers and len(topology.hidden) > 1
    loses = learning.recurrent_errors and any(p.is_recurrent for p in topology.projections) or from_later
    if program.is_online and loses:
        return f"method {learning.name} has errors that go back from later steps or other layers, which traces do not hold; use method eprop, or program bptt"
    if program.name != "eprop_factorised":
        return None
    if spiking.adaptive > 0:
        return (
            "the trace of the adaptation, eps(t+1) = psi zbar + (rho - psi beta) eps, does not factorise into one of the pre and one of the post neuron; "
            "use neurons that do not adapt (network.type lif), or program eprop_clock"
        )
    if learning.filtered_errors and spiking.kappa > 0 and not has_one_signal(topology):
        return (
            "a leaky read-out with a loss in every step filters psi zbar, which does not factorise; use network.tau_out 0, readout mean or last (one "
            "trace for each synapse), method eprop_factorised, or program eprop_clock"
        )
    return None


def default_cutoff(topology: Topology) -> int:
    """Steps after which the slowest trace of a synapse has lost 99 %: at most those of a sample."""
    spiking = topology.spiking
    assert spiking is not None
    slowest = max(spiking.tau_m, spiking.tau_out, spiking.tau_a if spiking.adaptive > 0 else 0.0)
    return min(math.ceil(slowest * math.log(100.0)), topology.n_steps)


def count_synapse_words(program: Program, topology: Topology) -> int:
    """Numbers that a synapse into a spiking neuron keeps beside its gradient accumulator."""
    spiking = topology.spiking
    assert spiking is not None
    has_one = has_one_signal(topology)
    words = int(program.repeats_traces)
    if program.has_synapse_traces:
        words += spiking.adaptive > 0
        words += not has_one and spiking.kappa > 0 and spiking.learning.filtered_errors
    # The sum of the eligibility, until its learning signal is known. Replayed from history, at the end of a sample, it is in a register.
    words += has_one and program.has_traces
    # The regulariser of rates takes the sum of the trace before any filter; in a history it is made of what is there.
    return words + (spiking.rate_cost > 0 and program.has_traces)
