"""What has no emitter, said in one line: chips whose cores run no program, networks, rules and formats."""

from neurosim.errors import InputError, UnsuitableChipError
from neurosim.hardware import list_profiles, load_profile
from neurosim.placement.families import family_of
from neurosim.silicon.storages import storage_for

#: Cores that the program is written for, by the name of their table of cycles.
CORES = ("cortex_m4f",)


def core_of(profile):
    """Name of the core that runs the program on a chip, or None."""
    if not family_of(profile).is_program:
        return None
    programs = [prices.program for prices in profile.energy.price_sets.values() if prices.program]
    return programs[0] if programs else None


def emitting_chips():
    """Names of the bundled chips that the program can be written for."""
    return [name for name in list_profiles() if core_of(load_profile(name)) in CORES]


def refuse_unless_emitted(experiment):
    """Refuse what the emitter does not write.

    Raises
    ------
    UnsuitableChipError
        The cores of the chip run no program, or one that is not written for them.
    InputError
        A network, rule, optimizer or format without an emitter.
    """
    scenario, profile, placement = experiment.scenario, experiment.profile, experiment.placement
    core = core_of(profile)
    if core not in CORES:
        why = "run no program" if core is None else f"are of a kind ({core}) that has no emitter yet"
        raise UnsuitableChipError(f"--format c: the cores of {profile.name} {why}; choose one of {', '.join(emitting_chips())}")

    def refuse(key, found, known):
        raise InputError(f"{scenario.name}: {key}: found {found}, which --format c has no emitter for; {known}")

    hardware, training, workload = scenario.hardware, scenario.training, placement.workload
    if scenario.phases:
        refuse("phases", "several tasks", "leave them out")
    if scenario.dataset.augment is not None:
        refuse("dataset.augment", "samples that change", "leave it out")
    if scenario.network.is_recurrent:
        refuse("network.type", scenario.network.type, "choose a feed-forward network")
    if any(projection.pattern is not None for projection in workload.topology.projections):
        refuse("network.layers", "convolutions", "expected numbers of neurons")
    if cells := sorted({p.cell for p in workload.topology.populations[1:-1]} - {"relu"}):
        refuse("network.activation", cells[0], "expected relu")
    if workload.topology.populations[-1].has_bias:
        refuse("network.bias", "true", "expected false")
    if scenario.rewiring.rule != "deep_r":
        refuse("rewiring.rule", scenario.rewiring.rule, "expected deep_r")
    if scenario.rewiring.scope != "core" and placement.n_cores > 1 or scenario.rewiring.scope == "network":
        refuse("rewiring.scope", scenario.rewiring.scope, "expected core")
    if scenario.rewiring.free_matrices(len(placement.fan_in_limits or ()) or len(workload.topology.projections)):
        refuse("rewiring.matrices", "matrices that do not rewire", "expected all to rewire")
    if training.optimizer not in ("sgd", "momentum"):
        refuse("training.optimizer", training.optimizer, "expected sgd or momentum")
    if training.clip is not None:
        refuse("training.clip", training.clip, "leave it out")
    if hardware.learning == "host":
        refuse("hardware.learning", "host", "expected chip")
    if storage_for(hardware.format) is None:
        refuse("hardware.weight_format", hardware.format.name, "expected float32, fixed point such as s3.12, or intN")
    if hardware.execution == "event_driven" and training.batch_size == 1 and (training.optimizer != "sgd" or hardware.master != "none"):
        # There the product of a sample would go straight into that number.
        refuse("hardware.execution", "event_driven with batch_size 1 and a state or master copy", "expected scan, or a batch_size above 1")
    if any(n_bytes.any() for n_bytes in placement.spilled.values()):
        refuse("hardware", "sections in shared memory", "take more cores or fewer synapses")
