"""docs/scenario-reference.md against the schema: every key, its default, its words; examples that load."""

import re
import shlex
from pathlib import Path
from typing import Literal, get_args, get_origin

import pydantic
import pytest
from pydantic_core import PydanticUndefined

from neurosim.datasets import DATASETS
from neurosim.documents import Document, parse_yaml, validate
from neurosim.rewiring import RULES
from neurosim.scenario import Scenario
from neurosim.scenario.rules import Rewiring, keys_of

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "scenario-reference.md").read_text(encoding="utf-8")


def fields_of_rules():
    """``rule: key`` and field of every key by which a rule differs from the rule that it is derived from."""
    for name, rule_class in RULES.items():
        fields = keys_of(name, rule_class).model_fields
        parent = next((keys_of(n, c).model_fields for n, c in RULES.items() if c is rule_class.__base__), Rewiring.model_fields)
        for key, field in fields.items():
            if key not in parent or key not in ("rule", "scope") and field.default != parent[key].default:
                yield f"{name}: {key}", field


def group_of(annotation):
    """Group of keys that an annotation is, or is when it is given; None for a key."""
    kinds = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type) and issubclass(kind, pydantic.BaseModel)]
    return kinds[0] if kinds else None


def leaves(model, path=()):
    """Key path and field of every key that is not itself a group of keys."""
    for name, field in model.model_fields.items():
        if field.annotation is Rewiring:
            yield from leaves(Rewiring, (*path, name))
            yield from fields_of_rules()
        elif group := group_of(field.annotation):
            yield from leaves(group, (*path, name))
        else:
            yield ".".join((*path, name)), field


def words_in(annotation):
    """Words of all Literals inside an annotation."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [word for part in get_args(annotation) for word in words_in(part)]


def rows_of(page):
    """Rows such as | `seed` | whole number | `0` | unit | meaning | example |; below the heading of a rule: its keys."""
    rule = ""
    for line in page.splitlines():
        if line.startswith("## "):
            rule = ""
        elif heading := re.match(r"### `rewiring.rule: (\w+)`", line):
            rule = f"{heading[1]}: "
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 6 and cells[0].startswith("`"):
            yield rule + cells[0].strip("`"), cells[1:]


def example_values():
    """Value of the last column of each row of keys."""
    return {key: parse_yaml(f"value: {cells[-1].strip('`')}", key).data["value"] for key, cells in ROWS.items()}


KEYS = dict(leaves(Scenario))
ROWS = dict(rows_of(PAGE))


def test_keys_are_found():
    assert len(KEYS) > 20
    assert "training.schedule.factor" in KEYS
    assert {"rewiring.scope", "deep_r: period", "set: period", "soft_deep_r: theta_min"} < set(KEYS)
    assert "rigl: period" not in KEYS


def test_the_page_lists_the_keys_of_the_schema_in_its_order():
    assert list(ROWS) == list(KEYS)


@pytest.mark.parametrize("key", KEYS)
def test_default(key):
    written, default = ROWS[key][1], KEYS[key].default
    if default is PydanticUndefined:
        assert written == "required"
    elif default is None:
        assert written == "none"
    else:
        value = parse_yaml(f"value: {written.strip('`')}", "page").data["value"]
        assert (type(value), value) == (type(default), default)


@pytest.mark.parametrize("key", KEYS)
def test_words_and_meaning(key):
    kind, _, _, meaning, example = ROWS[key]
    for word in words_in(KEYS[key].annotation):
        assert f"`{word}`" in kind
    assert kind and meaning.endswith(".") and re.fullmatch("`.+`", example)


@pytest.mark.parametrize("key", KEYS)
def test_the_example_is_accepted(key):
    values = example_values()
    data = {
        "name": "x", "dataset": {"name": "digits"}, "network": {"layers": [64, 30, 20, 10]},
        "hardware": {"profile": "spinnaker2_santos", "headroom": 0.25},
    }  # fmt: skip
    if key not in ("network.connectivity", "network.synapses"):
        data["network"]["connectivity"] = 0.5
    if key == "network.synapses":
        values[key] = min(values[key], 2000)  # of the MNIST network, more than the small one here has
    if key in ("network.units", "network.readout", "training.window", "training.clip"):
        data["network"] = {"type": "lstm", "units": 30, "connectivity": 0.5}
        data["dataset"] = {"name": "mnist_rows"}
    spiking = ("readout_steps", "recurrent", "tau_m", "tau_a", "tau_out", "v_th", "beta", "refractory", "adaptive", "surrogate", "gamma", "slope")
    learning = {
        "method": {}, "feedback": {"method": "eprop"}, "feedback_decay": {"method": "eprop", "feedback": "adaptive"},
        "rate_cost": {"rate_target": 0.1}, "rate_target": {"rate_cost": 0.1},
    }  # fmt: skip
    where, _, name = key.partition(".")
    if where == "network" and name in spiking or where == "training" and name in learning:
        data["network"] = {"type": "alif", "units": 30, "connectivity": 0.5}
        data["dataset"] = {"name": "mnist_rows"}
        if where == "training":
            data["training"] = dict(learning[name])
    if key == "network.fit":
        data["network"] = {"layers": [64, 100, 10], "connectivity": "fit"}
    if key == "network.type":
        data["network"] = {"units": 30, "connectivity": 0.5}
    if key == "network.input_shape":
        data["network"] = {"layers": [{"conv": 8, "kernel": 5}, 10], "connectivity": 0.5}
    if key.startswith("dataset."):
        table, images = ("dataset.label", "dataset.drop", "dataset.test_fraction"), ("dataset.image_size",)
        data["dataset"] = {"name": "x.csv" if key in table else "digits" if key in images else "fsdd"}
    if key.startswith("dataset.augment."):
        data["dataset"] = {"name": "mnist", "augment": {"shift": 1, "late": {"after": 0.5, "probability": 0.5}}}
        if key.rpartition(".")[2] in ("shift_inputs", "stretch", "gain", "drop"):
            data["dataset"] = {"name": "fsdd", "augment": {}}
    if key.startswith("dataset.encode."):
        kinds = {"levels": "level_crossing", "leak": "integrate", "polarities": "integrate", "rate": "rate", "seed": "rate"}
        data["dataset"] = {"name": "mnist", "encode": {"kind": kinds.get(key.rpartition(".")[2], "latency")}}
    if key.startswith("dataset.events."):
        data["dataset"] = {"name": "x.h5"}
    if key == "dataset.task":
        data["dataset"] = {"name": "cue_accumulation"}
    if key in ("rewiring.horizon", "training.schedule.restart", "control"):
        data["phases"] = [{"name": "a", "epochs": 1}]
    if key.startswith("training.schedule."):
        kind = "step" if key.endswith("milestones") else "exponential"
        data["training"] = {"schedule": {"kind": kind, "factor": 0.5, **({"milestones": [1]} if kind == "step" else {})}}
    used_by = {"momentum": "momentum", "beta1": "adam", "beta2": "adam", "epsilon": "adam"}
    if key.removeprefix("training.") in used_by:
        data["training"] = {"optimizer": used_by[key.removeprefix("training.")]}
    if key in ("hardware.rounding", "hardware.master", "hardware.weight_range"):
        data["hardware"]["weight_format"] = "int8"
    if key in ("hardware.program", "hardware.trace_cutoff"):
        data |= {"network": {"type": "lif", "units": 30, "connectivity": 0.5}, "dataset": {"name": "randman"}, "training": {"method": "eprop"}}
        data["hardware"] |= {"program": "eprop_spike", "execution": "event_driven"}
    if ": " in key:
        rule, key = key.split(": ")
        group = data["rewiring"] = {"rule": rule} | ({"noise_std": 1e-5} if rule == "soft_deep_r" else {})
        values[key] = values[f"{rule}: {key}"]
    else:
        group = data
    for part in key.split(".")[:-1]:
        group = group.setdefault(part, {})
    group[key.split(".")[-1]] = values[key]
    validate(Scenario, Document(data=data, path="page", text=""), what="scenario")


def test_the_yaml_blocks_are_scenarios():
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        validate(Scenario, parse_yaml(block, "page"), what="scenario")


def test_the_overrides_are_understood(main_cli):
    lines = re.findall(r"^(neurosim (?:run|check) .*--set.*?)(?:  +#.*)?$", PAGE, flags=re.MULTILINE)
    assert len(lines) >= 4
    for line in lines:
        _, command, *arguments = shlex.split(line)
        assert main_cli("check" if command == "run" else command, *arguments).code == 0


def test_data_sets_and_files_are_named(tiny_run):
    for name, info in DATASETS.items():
        features = info.n_features or "from the options"
        assert re.search(rf"\| `{name}` \|[^\n]*\| {features} \| {info.n_classes} \|", PAGE)
    for path in tiny_run.folder.iterdir():
        assert f"`{path.name}`" in PAGE or f"`{path.name}/*.png`" in PAGE
    assert set(re.findall(r"^\| (\d+) \|", PAGE, flags=re.MULTILINE)) == {"0", "1", "2", "3", "130"}
