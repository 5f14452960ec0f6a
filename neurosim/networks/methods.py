"""The table of learning methods of networks that take samples step by step: what each cuts from the gradient. One row of facts per method.

One pass through time computes them all: a method says which errors it leaves out. Bellec et al. 2020 derive e-prop as the gradient without the
errors that go back along recurrent synapses, with a feedback in the place of the transposed read-out; so traces of synapses, which a chip
keeps for it, need not be simulated. Xiao et al. 2022 (OTTT) leave out all errors across time but those that a trace of the pre neuron stands for, and
follow those between layers within each step.
"""

from dataclasses import dataclass

from neurosim.errors import find


@dataclass(frozen=True)
class LearningMethod:
    """What one learning method takes into account.

    Attributes
    ----------
    name : str
    recurrent_errors : bool
        Whether the error of a spike comes also from the neurons that it reaches within its layer.
    layer_errors : bool
        Whether it comes also from the layer above; otherwise every layer has a feedback from the outputs.
    instant_layers : bool
        Whether what comes from the layer above is the error of the same step alone, psi times what comes to its spike from the outputs, and not the error
        of its membrane, which later steps have a part in.
    filtered_errors : bool
        Whether errors of the read-out pass its leak backwards in time. Without it each step has the error of that step alone, so that a chip needs
        traces of neurons only.
    is_online : bool
        Whether a chip needs nothing of past steps but traces, so that what it keeps does not depend on their number.
    feedbacks : tuple of str
        What may lead errors of the outputs to a layer: ``symmetric`` the weights of the read-out, ``random`` fixed random numbers, ``adaptive``
        random ones that take the updates of the read-out. The first is the default.
    source : str
    """

    name: str
    recurrent_errors: bool = False
    layer_errors: bool = False
    instant_layers: bool = False
    filtered_errors: bool = True
    is_online: bool = True
    feedbacks: tuple[str, ...] = ("symmetric", "random", "adaptive")
    source: str = "Bellec et al. 2020"


_ROWS = (
    LearningMethod("bptt", recurrent_errors=True, layer_errors=True, is_online=False, feedbacks=("symmetric",), source="Neftci et al. 2019"),
    LearningMethod("eprop"),
    LearningMethod("ottt", layer_errors=True, instant_layers=True, filtered_errors=False, feedbacks=("symmetric",), source="Xiao et al. 2022"),
    LearningMethod("eprop_factorised", filtered_errors=False, source="Frenkel and Indiveri 2022 (ReckOn)"),
)

#: Every learning method by its name.
METHODS = {row.name: row for row in _ROWS}


def find_method(name: str) -> LearningMethod:
    """The facts of a learning method.

    Raises
    ------
    InputError
        An unknown name; the message offers the nearest.
    """
    return find(name, METHODS, "method")
