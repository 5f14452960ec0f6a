"""What the shell offers behind TAB: names of what is bundled, keys of scenarios. Files are the shell's own business."""


def complete_scenarios(incomplete: str):
    """Names of bundled scenarios."""
    from neurosim.scenario.load import list_scenarios

    return _starting(incomplete, list_scenarios())


def complete_sweeps(incomplete: str):
    """Names of bundled sweeps."""
    from neurosim.sweeps import list_sweeps

    return _starting(incomplete, list_sweeps())


def complete_profiles(incomplete: str):
    """Names of bundled hardware profiles."""
    from neurosim.hardware import list_profiles

    return _starting(incomplete, list_profiles())


def complete_overrides(incomplete: str):
    """Keys of a scenario, with the sign that a value follows; behind ``hardware.profile=`` the profiles."""
    from neurosim.scenario.schema import Scenario

    key, equals, value = incomplete.partition("=")
    if equals:
        return [f"{key}={name}" for name in complete_profiles(value)] if key == "hardware.profile" else []
    return _starting(incomplete, [f"{name}=" for name in _keys(Scenario)])


def complete_words(*words):
    """Function that completes one of some words."""
    return lambda incomplete: _starting(incomplete, words)


def _starting(incomplete, words):
    return [word for word in words if word.startswith(incomplete)]


def _keys(model, before=""):
    """Dotted keys of a model that hold values; parts that depend on others, such as those of a rule, are given by their name alone."""
    for name, field in model.model_fields.items():
        if hasattr(field.annotation, "model_fields"):
            yield from _keys(field.annotation, f"{before}{name}.")
        else:
            yield before + name
