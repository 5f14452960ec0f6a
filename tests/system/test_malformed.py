"""Wrong input of every kind through the command line: one line, exit code 2, nothing written.

Each table row is (what, change, fragments of the refusal). Scenario and profile files have one change to a good file;
``LINE`` in a fragment stands for the line of that change.
"""

import gzip
import io
import json
import random
import shutil
import struct
import zipfile

import numpy as np
import pytest
from conftest import write_wav

from neurosim.documents import bundled_folder
from neurosim.errors import InputError
from neurosim.training.checkpoint import load_checkpoint

SCENARIO = """\
name: small
seed: 0
dataset:
  name: digits
network:
  layers: [64, 20, 10]
  connectivity: [0.2, 0.5]
hardware:
  profile: spinnaker2_santos
  cores: 1
training:
  epochs: 1
  batch_size: 10
  learning_rate: 0.5
  schedule: {kind: cosine, factor: 0.05}
rewiring:
  l1: 1e-4
  noise_std: 1e-5
report:
  figures: false
"""
REWIRING = "rewiring:\n  l1: 1e-4\n  noise_std: 1e-5\n"
PROFILE = (bundled_folder("hardware_profiles") / "spinnaker2_santos.yaml").read_text(encoding="utf-8")


def tree(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def replaced(text, old, new):
    """`text` with one change, and the line where it stands."""
    assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the good file"
    changed = text.replace(old, new)
    before, after = text.split("\n"), changed.split("\n")
    line = next((n for n, pair in enumerate(zip(before, after), 1) if pair[0] != pair[1]), min(len(before), len(after)))
    return changed, line


@pytest.fixture
def assert_refused(main_cli, tmp_path):
    """Call ``assert_refused(arguments, fragments)``: exit code 2, one line with all fragments, nothing written."""

    def check(arguments, fragments):
        before = tree(tmp_path)
        result = main_cli(*arguments)
        assert result.code == 2, result
        assert result.out == ""
        assert result.err.startswith("neurosim: ")
        assert result.err.endswith("\n") and len(result.err.splitlines()) == 1, result.err
        assert "Traceback" not in result.err
        missing = [fragment for fragment in fragments if fragment not in result.err]
        assert not missing, f"{missing} not in {result.err}"
        assert tree(tmp_path) == before

    return check


# --- scenarios ---

SCENARIOS = [
    ("unknown key at the top", ("seed: 0", "sead: 0"), [":LINE:", "sead", "nearest: seed"]),
    ("unknown key below", ("  epochs: 1", "  epoch: 1"), [":LINE:", "training.epoch is not", "nearest: epochs"]),
    ("unknown key in braces", ("factor: 0.05", "faktor: 0.05"), [":LINE:", "training.schedule.faktor", "nearest: factor"]),
    ("missing key", ("  layers: [64, 20, 10]\n", ""), ["network.layers", "required and missing"]),
    ("missing part", ("dataset:\n  name: digits\n", ""), ["dataset", "required and missing"]),
    ("key twice", ("seed: 0", "seed: 0\nseed: 1"), [":3:", "seed stands twice", "line 2"]),
    ("text for a number", ("epochs: 1", 'epochs: "1"'), [":LINE:", "training.epochs", "'1'", "whole number"]),
    ("half an epoch", ("epochs: 1", "epochs: 1.5"), [":LINE:", "training.epochs", "1.5", "whole number"]),
    ("no epoch", ("epochs: 1", "epochs: 0"), [":LINE:", "training.epochs", "found 0", "1"]),
    ("yes for true", ("figures: false", "figures: no"), [":LINE:", "report.figures", "true or false"]),
    ("yes for a page", ("figures: false", "html: yes"), [":LINE:", "report.html", "true or false"]),
    ("unknown report", ("figures: false", "htm: true"), [":LINE:", "report.htm is not", "nearest: html"]),
    ("batch of zero", ("batch_size: 10", "batch_size: 0"), [":LINE:", "training.batch_size", "found 0"]),
    ("batch beyond the limit", ("batch_size: 10", "batch_size: 9999999"), [":LINE:", "training.batch_size", "1048576"]),
    ("negative rate", ("learning_rate: 0.5", "learning_rate: -0.5"), [":LINE:", "training.learning_rate", "greater than 0"]),
    ("rate not a number", ("learning_rate: 0.5", "learning_rate: .nan"), [":LINE:", "training.learning_rate", "finite"]),
    ("rate infinite", ("learning_rate: 0.5", "learning_rate: .inf"), [":LINE:", "training.learning_rate", "finite"]),
    ("rate beyond float32", ("learning_rate: 0.5", "learning_rate: 1e300"), [":LINE:", "training.learning_rate"]),
    ("l1 beyond float32", ("l1: 1e-4", "l1: 1e300"), [":LINE:", "rewiring.l1"]),
    ("negative seed", ("seed: 0", "seed: -1"), [":LINE:", "seed", "found -1"]),
    ("seed beyond 64 bits", ("seed: 0", "seed: 99999999999999999999"), [":LINE:", "64 bits"]),
    ("name with a slash", ("name: small", "name: ../small"), [":LINE:", "name", "'../small'"]),
    ("empty name", ("name: small", 'name: ""'), [":LINE:", "name"]),
    ("unknown schedule", ("kind: cosine", "kind: cosin"), [":LINE:", "training.schedule.kind", "'cosin'", "nearest: cosine"]),
    ("step without milestones", ("kind: cosine", "kind: step"), [":LINE:", "training.schedule.milestones"]),
    ("factor without use", ("kind: cosine", "kind: constant"), [":LINE:", "training.schedule.factor", "leave it out"]),
    ("factor above one", ("factor: 0.05", "factor: 1.05"), [":LINE:", "training.schedule.factor", "1"]),
    ("unknown rule", ("rewiring:\n", "rewiring:\n  rule: deepr\n"), [":LINE:", "rewiring.rule", "'deepr'", "deep_r"]),
    ("unknown scope", ("rewiring:\n", "rewiring:\n  scope: chip\n"), [":LINE:", "rewiring.scope", "'core'", "'network'"]),
    ("scope without headroom", ("rewiring:\n", "rewiring:\n  scope: layer\n"), ["hardware.headroom", "0.25"]),
    ("two kinds of noise", ("  noise_std: 1e-5", "  noise_std: 1e-5\n  temperature: 1e-9"), ["rewiring.noise_std", "temperature"]),
    ("unknown optimizer", ("  epochs: 1", "  epochs: 1\n  optimizer: adm"), [":LINE:", "training.optimizer", "'adm'", "nearest: adam"]),
    ("momentum of sgd", ("  epochs: 1", "  epochs: 1\n  momentum: 0.9"), [":LINE:", "training.momentum", "sgd does not use it"]),
    ("beta of momentum", ("  epochs: 1", "  epochs: 1\n  optimizer: momentum\n  beta1: 0.9"), ["training.beta1", "momentum does not use it"]),
    ("momentum of one", ("  epochs: 1", "  epochs: 1\n  optimizer: momentum\n  momentum: 1.0"), ["training.momentum", "0.99999"]),
    ("epsilon of zero", ("  epochs: 1", "  epochs: 1\n  optimizer: adam\n  epsilon: 0.0"), ["training.epsilon"]),
    ("key of another rule", ("rewiring:\n", "rewiring:\n  drop_fraction: 0.3\n"), [":LINE:", "rewiring.drop_fraction", "deep_r", "l1"]),
    ("misspelt key of a rule", ("  noise_std: 1e-5", "  noise_sdt: 1e-5"), [":LINE:", "rewiring.noise_sdt: rule deep_r", "nearest: noise_std"]),
    ("rule that is a number", ("rewiring:\n", "rewiring:\n  rule: 3\n"), [":LINE:", "rewiring.rule", "found 3", "text"]),
    ("rule of no plugin", ("rewiring:\n", "rewiring:\n  rule: os:system\n"), [":LINE:", "rewiring.rule", "'os:system'", "--plugin os"]),
    ("fraction of a rule", (REWIRING, "rewiring: {rule: set, drop_fraction: 1.5}\n"), [":LINE:", "rewiring.drop_fraction", "found 1.5"]),
    ("period of a rule", (REWIRING, "rewiring: {rule: rigl, period: 0}\n"), [":LINE:", "rewiring.period", "found 0"]),
    ("key of a rule without keys", (REWIRING, "rewiring: {rule: static, period: 9}\n"), [":LINE:", "rewiring.period", "rule static"]),
    ("pruning that ends first", (REWIRING, "rewiring: {rule: prune, start: 0.7}\n"), [":LINE:", "rewiring.start", "found 0.7", "end, 0.6"]),
    ("soft without noise", (REWIRING, "rewiring: {rule: soft_deep_r}\n"), ["rewiring.temperature", "missing", "noise_std"]),
    ("soft without pull", (REWIRING, "rewiring: {rule: soft_deep_r, l1: 0, noise_std: 1e-3}\n"), [":LINE:", "rewiring.l1", "theta_min"]),
    ("theta_min above zero", (REWIRING, "rewiring: {rule: soft_deep_r, noise_std: 1e-3, theta_min: 1}\n"), ["rewiring.theta_min", "found 1"]),
    ("unknown place of learning", ("  cores: 1", "  cores: 1\n  learning: hots"), [":LINE:", "hardware.learning", "nearest: host"]),
    ("unknown answer to a misfit", ("  cores: 1", "  cores: 1\n  on_violation: ignore"), [":LINE:", "hardware.on_violation", "'report'"]),
    ("unknown weight format", ("  cores: 1", "  cores: 1\n  weight_format: int8s"), [":LINE:", "hardware.weight_format", "'int8s'", "s3.12", "intN"]),
    ("a width between those of the chip", ("profile: spinnaker2_santos", "profile: loihi1\n  weight_format: int7"), ["weight_format", "int7, 7 bits", "nengo_loihi", "int6 or int8"]),
    ("fixed point of such a width", ("profile: spinnaker2_santos", "profile: loihi1\n  weight_format: s2.4"), ["weight_format", "s2.4, 7 bits", "6 or 8 bits"]),
    ("a weight of a sign", ("  cores: 1", "  cores: 1\n  weight_format: int1"), [":LINE:", "hardware.weight_format", "'int1'", "1 to 22 bits"]),
    ("fixed point of SpiNNaker", ("  cores: 1", "  cores: 1\n  weight_format: s16.15"), [":LINE:", "hardware.weight_format", "1 to 22 bits"]),
    ("a format that is a number", ("  cores: 1", "  cores: 1\n  weight_format: 8"), [":LINE:", "hardware.weight_format", "text"]),
    ("rounding of float32", ("  cores: 1", "  cores: 1\n  rounding: stochastic"), [":LINE:", "hardware.rounding", "not rounded"]),
    ("master of float32", ("  cores: 1", "  cores: 1\n  master: float32"), [":LINE:", "hardware.master", "not rounded"]),
    ("range of fixed point", ("  cores: 1", "  cores: 1\n  weight_format: s0.7\n  weight_range: 2.0"), ["hardware.weight_range", "no scale"]),
    ("range between powers", ("  cores: 1", "  cores: 1\n  weight_format: int8\n  weight_range: 3.0"), ["hardware.weight_range", "power of two", "2 or 4"]),
    ("ranges for other matrices", ("  cores: 1", "  cores: 1\n  weight_format: int8\n  weight_range: [1.0, 1.0, 1.0]"), ["hardware.weight_range", "found 3", "or 2"]),
    ("unknown rounding", ("  cores: 1", "  cores: 1\n  weight_format: int8\n  rounding: stochastc"), ["hardware.rounding", "nearest: stochastic"]),
    ("one layer", ("layers: [64, 20, 10]", "layers: [64]"), [":LINE:", "network.layers", "1 layer"]),
    ("layer of zero", ("layers: [64, 20, 10]", "layers: [64, 0, 10]"), [":LINE:", "network.layers.1", "found 0"]),
    ("layer too large", ("layers: [64, 20, 10]", "layers: [64, 2000000, 10]"), ["network.layers", "2000000", "1000000"]),
    ("first layer not the data's", ("layers: [64, 20, 10]", "layers: [784, 20, 10]"), ["network.layers", "784", "64 features"]),
    ("last layer not the data's", ("layers: [64, 20, 10]", "layers: [64, 20, 12]"), ["network.layers", "12", "10 classes"]),
    ("too many fractions", ("[0.2, 0.5]", "[0.2, 0.5, 0.5]"), [":LINE:", "network.connectivity", "3 fractions", "2"]),
    ("unknown activation", ("  connectivity", "  activation: tahn\n  connectivity"), [":LINE:", "network.activation", "'tahn'", "nearest: tanh"]),
    ("recurrent cell as activation", ("  connectivity", "  activation: lstm\n  connectivity"), [":LINE:", "network.activation", "'lstm'", "tanh"]),
    ("outputs' cell as activation", ("  connectivity", "  activation: [softmax]\n  connectivity"), [":LINE:", "network.activation", "'softmax'"]),
    ("activations of other layers", ("  connectivity", "  activation: [tanh, relu]\n  connectivity"), [":LINE:", "network.activation", "found 2 names", "or 1"]),
    ("bias of a number", ("  connectivity", "  bias: 0.5\n  connectivity"), [":LINE:", "network.bias", "found 0.5"]),
    ("rates of other matrices", ("learning_rate: 0.5", "learning_rate: [0.5, 0.1, 0.1]"), [":LINE:", "training.learning_rate", "found 3 numbers", "or 2"]),
    ("rate of zero", ("learning_rate: 0.5", "learning_rate: [0.5, 0]"), [":LINE:", "training.learning_rate", "found 0"]),
    ("pulls of other matrices", ("l1: 1e-4", "l1: [1e-4]"), [":LINE:", "rewiring.l1", "found 1 numbers", "or 2"]),
    ("pull below zero", ("l1: 1e-4", "l1: [1e-4, -1.0]"), [":LINE:", "rewiring.l1", "found -1"]),
    ("pulls of a soft rule", (REWIRING, "rewiring: {rule: soft_deep_r, l1: [1e-4, 1e-4], noise_std: 1e-3}\n"), [":LINE:", "rewiring.l1", "number"]),
    ("a matrix that is not there", ("rewiring:\n", "rewiring:\n  matrices: [0, 2]\n"), [":LINE:", "rewiring.matrices", "found 2", "0 to 1", "layer 1 to layer 2"]),
    ("a matrix below zero", ("rewiring:\n", "rewiring:\n  matrices: [-1]\n"), [":LINE:", "rewiring.matrices", "found -1"]),
    ("no matrix", ("rewiring:\n", "rewiring:\n  matrices: []\n"), [":LINE:", "rewiring.matrices", "no matrix", "static"]),
    ("matrices of another rule", (REWIRING, "rewiring: {rule: static, matrices: [0]}\n"), [":LINE:", "rewiring.matrices", "rule static"]),
    ("fraction above one", ("[0.2, 0.5]", "[0.2, 1.5]"), [":LINE:", "network.connectivity", "1.5"]),
    ("fraction of zero", ("[0.2, 0.5]", "0"), [":LINE:", "network.connectivity", "found 0"]),
    ("misspelt fit", ("[0.2, 0.5]", "fitt"), [":LINE:", "network.connectivity", "'fitt'", "should be 'fit'"]),
    ("connectivity and synapses", ("  connectivity", "  synapses: 99\n  connectivity"), ["network.connectivity", "exactly one"]),
    ("neither of the two", ("  connectivity: [0.2, 0.5]\n", ""), ["network.connectivity", "exactly one"]),
    ("more synapses than possible", ("connectivity: [0.2, 0.5]", "synapses: 99999"), [":LINE:", "network.synapses", "99999", "1480"]),
    ("no core", ("cores: 1", "cores: 0"), [":LINE:", "hardware.cores", "found 0"]),
    ("cores as text", ("cores: 1", "cores: all"), [":LINE:", "hardware.cores", "'all'", "auto"]),
    ("far more cores than the chip has", ("cores: 1", "cores: 99999999999"), ["hardware.cores", "99999999999", "1000000"]),
    ("unknown profile", ("spinnaker2_santos", "spinaker2_santos"), ["spinaker2_santos", "nearest: spinnaker2_santos"]),
    ("profile that is not there", ("profile: spinnaker2_santos", "profile: chips/mine.yaml"), ["chips/mine.yaml", "no such file"]),
    ("unknown price set", ("cores: 1", "cores: 1\n  price_set: hoeppner"), [":11:", "hardware.price_set", "known: derived_from_program"]),
    ("corner that does not exist", ("cores: 1", "cores: 1\n  corner: middle"), [":11:", "hardware.corner", "'middle'", "known: high, low"]),
    ("unknown data set", ("name: digits", "name: digit"), ["'digit'", "nearest: digits"]),
    ("data set of no name", ("name: digits", 'name: ""'), [":LINE:", "dataset.name"]),
    ("limit of zero", ("  name: digits", "  name: digits\n  limit: 0"), [":5:", "dataset.limit", "found 0"]),
    ("a list for a part", ("dataset:\n  name: digits", "dataset: [digits]"), [":LINE:", "dataset", "mapping"]),
    ("anchor", ("seed: 0", "seed: &x 0"), [":LINE:", "anchors"]),
    ("tag", ("seed: 0", "seed: !!python/object/apply:os.getcwd []"), [":LINE:", "tag"]),
    ("tab", ("  epochs: 1", "\tepochs: 1"), ["small.yaml:", "tab"]),
    ("open bracket", ("[64, 20, 10]", "[64, 20, 10"), ["small.yaml:"]),
    ("second document", ("seed: 0", "seed: 0\n---\nseed: 1"), [":3:", "second document"]),
    ("terminal codes in a key", ("seed: 0", 'seed: 0\n"\\e[31mred\\nx": 1'), [":3:", "is not a key"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "fragments"), [row[1:] for row in SCENARIOS], ids=[row[0] for row in SCENARIOS])
@pytest.mark.parametrize("command", ["check", "run"])
def test_scenario(command, change, fragments, assert_refused, tmp_path):
    text, line = replaced(SCENARIO, *change)
    (tmp_path / "small.yaml").write_text(text, encoding="utf-8")
    assert_refused([command, "small.yaml"], [fragment.replace("LINE", str(line)) for fragment in fragments])


RECURRENT = """\
name: words
dataset:
  name: fsdd
  max_steps: 95
  features: {hop_ms: 25}
network:
  type: lstm
  units: [20]
  readout: last
  connectivity: 0.2
hardware:
  profile: spinnaker2
training:
  window: 10
  clip: 1.0
"""
UNITS = "  type: lstm\n  units: [20]\n  readout: last\n"
RECURRENTS = [
    ("unknown type", ("type: lstm", "type: lstmm"), [":LINE:", "network.type", "'lstmm'", "nearest: lstm"]),
    ("layers of an lstm", ("  units", "  layers: [32, 20, 10]\n  units"), [":LINE:", "network.layers", "lstm does not use it"]),
    ("activation of an lstm", ("  units", "  activation: relu\n  units"), [":LINE:", "network.activation", "units and readout"]),
    ("bias of an lstm", ("  units", "  bias: true\n  units"), [":LINE:", "network.bias", "lstm does not use it"]),
    ("units of an mlp", (UNITS, "  layers: [32, 20, 10]\n  units: 20\n"), [":8:", "network.units", "mlp does not use it", "layers"]),
    ("readout of an mlp", (UNITS, "  layers: [32, 20, 10]\n  readout: mean\n"), [":8:", "network.readout", "mlp does not use it"]),
    ("no units", ("  units: [20]\n", ""), ["network.units", "required and missing", "lstm needs it"]),
    ("no layer", ("units: [20]", "units: []"), [":LINE:", "network.units", "at least one"]),
    ("a layer of zero units", ("units: [20]", "units: [20, 0]"), [":LINE:", "network.units.1", "found 0"]),
    ("unknown readout", ("readout: last", "readout: lats"), [":LINE:", "network.readout", "nearest: last"]),
    ("two fractions for three matrices", ("connectivity: 0.2", "connectivity: [0.2, 0.2]"), [":LINE:", "network.connectivity", "one number or 3", "(inputs to lstm 1, lstm 1 to itself, lstm 1 to outputs)"]),
    ("three fractions for five matrices", ("units: [20]\n  readout: last\n  connectivity: 0.2", "units: [20, 9]\n  connectivity: [0.2, 0.2, 0.2]"), ["network.connectivity", "5", "lstm 1 to lstm 2, lstm 2 to itself"]),
    ("more synapses than possible", ("connectivity: 0.2", "synapses: 99999"), ["network.synapses", "99999", "3 to 4360"]),
    ("fewer synapses than matrices", ("connectivity: 0.2", "synapses: 2"), ["network.synapses", "found 2"]),
    ("ranges for other matrices", ("profile: spinnaker2", "profile: spinnaker2\n  weight_format: int8\n  weight_range: [1.0, 1.0]"), ["hardware.weight_range", "found 2", "or 3"]),
    ("window of nothing", ("window: 10", "window: 0"), [":LINE:", "training.window", "found 0"]),
    ("clip of nothing", ("clip: 1.0", "clip: 0.0"), [":LINE:", "training.clip", "found 0"]),
    ("window of an mlp", (UNITS, "  layers: [3040, 20, 10]\n"), ["training.window", "type mlp", "lstm or rnn"]),
    ("events", ("profile: spinnaker2", "profile: spinnaker2\n  execution: event_driven"), [":LINE:", "hardware.execution", "scan"]),
    ("a host that learns", ("profile: spinnaker2", "profile: spinnaker2\n  learning: host"), [":LINE:", "hardware.learning", "use chip"]),
    ("circuits", ("profile: spinnaker2", "profile: brainscales1"), ["network.type", "brainscales1", "compute no LSTM"]),
    ("circuits that do not learn", ("profile: spinnaker2", "profile: truenorth"), ["network.type", "truenorth", "compute no LSTM"]),
    ("a chip that does not learn", ("profile: spinnaker2", "profile: tpu_v1"), ["hardware.learning", "tpu_v1", "; choose a chip that learns"]),
    ("images", ("  name: fsdd\n  max_steps: 95\n  features: {hop_ms: 25}", "  name: mnist"), ["dataset.name", "mnist", "no data set of sequences", "mnist_rows, mnist_pixels, fsdd"]),
    ("a folder that is not there", ("name: fsdd", "name: words"), ["dataset.name", "words", "no data set of sequences"]),
    ("steps of images", ("name: fsdd", "name: mnist_rows"), [":4:", "dataset.max_steps", "holds no recordings"]),
    ("no step", ("max_steps: 95", "max_steps: 0"), [":LINE:", "dataset.max_steps", "found 0"]),
    ("unknown option of speech", ("hop_ms: 25", "hopp_ms: 25"), [":LINE:", "dataset.features.hopp_ms", "nearest: hop_ms"]),
    ("hop of zero", ("hop_ms: 25", "hop_ms: 0"), [":LINE:", "dataset.features.hop_ms", "found 0"]),
    ("a frame of minutes", ("hop_ms: 25", "frame_ms: 10000, sample_rate: 48000"), [":LINE:", "dataset.features.frame_ms", "480000 samples", "65536"]),
    ("half a band", ("hop_ms: 25", "bands: 2.5"), [":LINE:", "dataset.features.bands", "whole number"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "fragments"), [row[1:] for row in RECURRENTS], ids=[row[0] for row in RECURRENTS])
@pytest.mark.parametrize("command", ["check", "run"])
def test_recurrent_scenario(command, change, fragments, assert_refused, tmp_path):
    text, line = replaced(RECURRENT, *change)
    (tmp_path / "words.yaml").write_text(text, encoding="utf-8")
    assert_refused([command, "words.yaml"], [fragment.replace("LINE", str(line)) for fragment in fragments])


def test_the_good_scenario_is_good(main_cli, tmp_path):
    (tmp_path / "small.yaml").write_text(SCENARIO, encoding="utf-8")
    assert main_cli("run", "small.yaml", "--quiet").code == 0
    assert (tmp_path / "runs" / "small" / "result.json").exists()


SCENARIO_FILES = [
    ("empty", b"", ["small.yaml:1:", "empty document"]),
    ("a list", b"- name: small\n", ["small.yaml:1:", "mapping"]),
    ("binary", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), ["small.yaml:1:", "UTF-8"]),
    ("a byte of Latin-1", SCENARIO.replace("small", "gr\xf6\xdfe").encode("latin-1"), ["small.yaml:1:", "0xf6"]),
    ("a null character", SCENARIO.replace("small", "sm\0all").encode(), ["small.yaml:1:", "U+0000"]),
    ("nested without end", b"name: " + b"[" * 5000, ["small.yaml:1:", "40 levels"]),
    ("five megabytes", b"#" * 5_000_000, ["small.yaml:1:", "4194304 bytes"]),
]


@pytest.mark.parametrize(("content", "fragments"), [row[1:] for row in SCENARIO_FILES], ids=[row[0] for row in SCENARIO_FILES])
def test_scenario_file(content, fragments, assert_refused, tmp_path):
    (tmp_path / "small.yaml").write_bytes(content)
    assert_refused(["run", "small.yaml"], fragments)


# --- sweeps ---

SWEEP = """\
name: trial
base: small.yaml
set:
  training.batch_size: 5
seeds: [0, 1]
axes:
  - grid:
      network.connectivity: [0.1, 0.2]
  - zip:
      training.epochs: [1, 2]
      training.learning_rate: [0.5, 0.1]
  - list:
      - {rewiring.l1: 1e-5}
      - {rewiring.l1: 1e-4, rewiring.period: 2}
"""
SWEEPS = [
    ("unknown key", ("seeds:", "sead:"), [":LINE:", "sead is not a key of the sweep", "nearest"]),
    ("unknown form", ("  - zip:", "  - zipp:"), [":LINE:", "axes.1.zipp is not a key", "nearest: zip"]),
    ("axis over a key that does not exist", ("training.epochs: [1, 2]", "training.epoch: [1, 2]"), ["trial.yaml:LINE:", "training.epoch is not", "nearest: epochs"]),
    ("axis over a part that does not exist", ("{rewiring.l1: 1e-5}", "{rewirng.l1: 1e-5}"), [":LINE:", "rewirng", "nearest: rewiring"]),
    ("a wrong value, the second of its axis", ("[0.1, 0.2]", "[0.1, 1.2]"), ["trial.yaml:LINE:", "network.connectivity", "found 1.2"]),
    ("a wrong value in a set", ("rewiring.period: 2", "rewiring.period: 0"), ["trial.yaml:LINE:", "rewiring.period", "found 0"]),
    ("a wrong value for all points", ("batch_size: 5", "batch_size: 0"), ["trial.yaml:LINE:", "training.batch_size", "found 0"]),
    ("below a number", ("training.epochs: [1, 2]", "training.epochs.n: [1, 2]"), [":LINE:", "training.epochs is 1", "no keys"]),
    ("no key", ("network.connectivity: [", '"": ['), [":LINE:", "found the key ''"]),
    ("empty axis", ("[0.1, 0.2]", "[]"), [":LINE:", "axes.0.grid.network.connectivity", "empty axis"]),
    ("empty list of sets", ("{rewiring.l1: 1e-5}", "{}"), [":LINE:", "axes.2.list.0", "empty set"]),
    ("one value for a list", ("[0.1, 0.2]", "0.1"), [":LINE:", "axes.0.grid.network.connectivity", "should be a list"]),
    ("the same value twice", ("[0.1, 0.2]", "[0.1, 0.1]"), [":LINE:", "0.1 stands twice"]),
    ("lists of different length", ("learning_rate: [0.5, 0.1]", "learning_rate: [0.5]"), ["axes.1.zip", "training.epochs has 2, training.learning_rate has 1"]),
    ("two forms in one axis", ("  - zip:", "  - list: [{seed: 1}]\n    zip:"), ["axes.1", "zip and list", "exactly one"]),
    ("the same key on two axes", ("{rewiring.l1: 1e-5}", "{training.epochs: 3}"), [":LINE:", "axes.2.list.0.training.epochs", "set twice", "axes.1.zip"]),
    ("a key and its part", ("{rewiring.l1: 1e-5}", "{training: {epochs: 3}}"), [":LINE:", "set twice"]),
    ("a key of an axis for all points, too", ("batch_size: 5", "epochs: 5"), ["axes.1.zip.training.epochs", "set twice: also as set.training.epochs"]),
    ("seed as an axis", ("{rewiring.l1: 1e-5}", "{seed: 3}"), [":LINE:", "seeds: [0, 1, 2]"]),
    ("negative seed", ("[0, 1]", "[0, -1]"), [":LINE:", "seeds.1", "found -1"]),
    ("the same seed twice", ("[0, 1]", "[1, 1]"), [":LINE:", "1 stands twice"]),
    ("no seed", ("[0, 1]", "[]"), [":LINE:", "seeds", "at least one"]),
    ("neither axes nor seeds", ("seeds: [0, 1]\n" + SWEEP.partition("seeds: [0, 1]\n")[2], ""), ["axes", "is a run"]),
    ("name with a slash", ("name: trial", "name: ../trial"), [":LINE:", "name"]),
    ("unknown base", ("base: small.yaml", "base: digits_santo"), ["digits_santo", "nearest: digits_santos"]),
    ("base that is not there", ("base: small.yaml", "base: other.yaml"), ["other.yaml", "no such file"]),
    ("unknown chip", ("{rewiring.l1: 1e-5}", "{hardware.profile: loihi}"), ["no such hardware profile", "nearest: loihi"]),
    ("layers unlike the data", ("{rewiring.l1: 1e-5}", "{network.layers: [63, 20, 10]}"), ["network.layers", "64 features"]),
    ("two points that are one", ("rewiring.l1: 1e-5}", "rewiring.period: 1}\n      - {rewiring.scope: core}"), ["the same scenario"]),
    ("a million points", ("[0.1, 0.2]", str([round(n * 1e-5, 5) for n in range(1, 50001)])), ["trial.yaml:", "400,000 points", "1,000", "--yes"]),
    ("anchor", ("[0.1, 0.2]", "&x [0.1]"), [":LINE:", "anchors"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "fragments"), [row[1:] for row in SWEEPS], ids=[row[0] for row in SWEEPS])
def test_sweep(change, fragments, assert_refused, tmp_path):
    scenario = SCENARIO.replace("connectivity: [0.2, 0.5]", "connectivity: 0.2")
    (tmp_path / "small.yaml").write_text(scenario, encoding="utf-8")
    text, line = replaced(SWEEP, *change)
    (tmp_path / "trial.yaml").write_text(text, encoding="utf-8")
    assert_refused(["sweep", "trial.yaml"], [fragment.replace("LINE", str(line)) for fragment in fragments])


SWEEP_OPTIONS = [
    ("no sweep named", [], ["name a sweep", "digits_quick"]),
    ("unknown sweep", ["digits_quik"], ["no such sweep", "nearest: digits_quick"]),
    ("a scenario for a sweep", ["small.yaml"], ["small.yaml", "is not a key of the sweep"]),
    ("unknown engine", ["digits_quick", "--engine", "dusk"], ["--engine", "'dusk'", "nearest: dask"]),
    ("Dask without a scheduler", ["digits_quick", "--engine", "dask"], ["--scheduler tcp://"]),
    ("a scheduler for processes", ["digits_quick", "--scheduler", "tcp://127.0.0.1:1"], ["--engine dask"]),
    ("no process", ["digits_quick", "--jobs", "0"], ["--jobs", "found 0"]),
    ("a folder that is a file", ["digits_quick", "--out", "small.yaml"], ["small.yaml: is a file"]),
    ("no folder", ["digits_quick", "--out", ""], ["--out"]),
    ("data in a folder that is not there", ["digits_quick", "--data", "nowhere"], ["nowhere", "no such folder"]),
    ("--set of no key", ["digits_quick", "--set", "training.epoch=3"], ["--set", "nearest: epochs"]),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "fragments"), [row[1:] for row in SWEEP_OPTIONS], ids=[row[0] for row in SWEEP_OPTIONS])
def test_sweep_option(arguments, fragments, assert_refused, tmp_path):
    (tmp_path / "small.yaml").write_text(SCENARIO, encoding="utf-8")
    assert_refused(["sweep", *arguments], fragments)


def test_a_folder_of_something_else_is_not_swept(assert_refused, main_cli, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "result.json").write_text("{}")
    assert_refused(["sweep", "digits_quick", "--out", "run"], ["holds a run"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "sweep.json").write_text("{")
    assert_refused(["sweep", "digits_quick", "--out", "other"], ["not a readable sweep"])


def test_no_answer_from_a_scheduler_is_one_line(assert_refused, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("neurosim.sweeps.engine._CLUSTER_SECONDS", 1)
    assert_refused(["sweep", "digits_quick", "--engine", "dask", "--scheduler", "tcp://127.0.0.1:9"], ["no Dask scheduler answers"])


# --- profiles ---

PROFILES = [
    ("unknown key", ("  overflow: refuse", "  overflw: refuse"), [":LINE:", "storage.overflw", "nearest: overflow"]),
    ("no source", ("source: hoeppner2019, confidence: V}\n\n#", "confidence: V}\n\n#"), ["cores.source", "missing"]),
    ("unknown source", ("specified, source: hoeppner2019, confidence: V}", "specified, source: hoepner2019, confidence: V}"), [":LINE:", "cores.source", "nearest: hoeppner2019"]),
    ("wrong unit", ("{value: 65536, unit: B", "{value: 64, unit: KB"), [":LINE:", "storage.local_bytes.unit", "'KB'", "'B'"]),
    ("clock out of range", ("value: 500.0e+6", "value: 500"), ["corners.high.clock.value", "500", "1000"]),
    ("price in pJ", ("{value: 2.19e-9, unit: J", "{value: 2190, unit: pJ"), [":LINE:", "neuron_update.unit", "'pJ'"]),
    ("price of zero", ("{value: 2.19e-9, unit: J", "{value: 0, unit: J"), ["neuron_update.value", "unknown"]),
    ("negative memory", ("{value: 65536, unit: B", "{value: -65536, unit: B"), [":LINE:", "storage.local_bytes.value", "-65536"]),
    ("unknown family", ("family: address_space", "family: adress_space"), [":LINE:", "storage.family", "nearest: address_space"]),
    ("a number in text", ("{value: 65536, unit: B", '{value: "65536", unit: B'), [":LINE:", "storage.local_bytes.value", "a number"]),
    ("price without a meaning", ("          meaning: marginal\n", ""), ["synaptic_op.meaning", "missing"]),
    ("two static powers for one level", ("  note: >-\n    Power per", "  static:\n    chip: {value: 1.0, unit: W, kind: measured, source: liu2018, confidence: V}\n    chip: {value: 2.0, unit: W, kind: measured, source: liu2018, confidence: V}\n  note: >-\n    Power per"), ["energy.static.chip", "stands twice"]),
    ("memory access charged twice", ("        neuron_update:\n", "        local_read_byte: {value: 1.0e-12, unit: J, kind: measured, meaning: marginal, source: keras_spiking, confidence: V}\n        neuron_update:\n"), [":LINE:", "local_read_byte", "charged twice"]),
    ("corner that does not exist", ("corner: high\n", "corner: hihg\n"), [":LINE:", "corner", "nearest: high"]),
    ("schema of the future", ("schema_version: 1", "schema_version: 2"), [":LINE:", "schema_version"]),
]  # fmt: skip


@pytest.mark.parametrize(("change", "fragments"), [row[1:] for row in PROFILES], ids=[row[0] for row in PROFILES])
def test_profile(change, fragments, assert_refused, tmp_path):
    text, line = replaced(PROFILE, *change)
    (tmp_path / "chip.yaml").write_text(text, encoding="utf-8")
    fragments = ["chip.yaml:", *(fragment.replace("LINE", str(line)) for fragment in fragments)]
    assert_refused(["profiles", "check", "chip.yaml"], fragments)
    assert_refused(["profiles", "show", "chip.yaml", "--json"], fragments)
    assert_refused(["run", "digits_santos", "--set", "hardware.profile=chip.yaml"], fragments)


# --- data files ---


def npz(**changes):
    arrays = {
        "x_train": np.zeros((20, 64), np.uint8),
        "y_train": np.arange(20) % 10,
        "x_test": np.zeros((10, 64), np.uint8),
        "y_test": np.arange(10),
    }
    buffer = io.BytesIO()
    np.savez(buffer, **{key: value for key, value in {**arrays, **changes}.items() if value is not None})
    return buffer.getvalue()


NPZ_FILES = [
    ("not a zip file", b"hello", ["data.npz", "NPZ"]),
    ("empty", b"", ["data.npz", "NPZ"]),
    ("cut in the middle", npz()[:900], ["data.npz", "NPZ"]),
    ("array missing", npz(y_test=None), ["data.npz", "no array y_test"]),
    ("pickled objects", npz(y_train=np.array([{}] * 20, dtype=object)), ["data.npz: y_train", "pickle"]),
    ("one label too few", npz(y_train=np.arange(19) % 10), ["data.npz: y_train", "19 labels", "20"]),
    ("label too large", npz(y_test=np.full(10, 10)), ["data.npz: y_test", "label 10", "0 to 9"]),
    ("negative label", npz(y_test=np.arange(10) - 1), ["data.npz: y_test", "label -1", "0 to 9"]),
    ("not a number", npz(x_train=np.full((20, 64), np.nan, np.float32), x_test=np.zeros((10, 64), np.float32)), ["data.npz: x_train", "nan", "(0, 0)"]),
    ("another width in the test set", npz(x_test=np.zeros((10, 63), np.uint8)), ["data.npz: x_test", "(63,)", "(64,)"]),
    ("no samples", npz(x_train=np.zeros((0, 64), np.uint8), y_train=np.zeros(0, int)), ["data.npz: x_train", "empty"]),
    ("features unlike the first layer", npz(x_train=np.zeros((20, 9), np.uint8), x_test=np.zeros((10, 9), np.uint8)), ["network.layers", "9 features"]),
]  # fmt: skip


@pytest.mark.parametrize(("content", "fragments"), [row[1:] for row in NPZ_FILES], ids=[row[0] for row in NPZ_FILES])
def test_npz_file(content, fragments, assert_refused, tmp_path):
    (tmp_path / "data.npz").write_bytes(content)
    assert_refused(["run", "digits_santos", "--set", "dataset.name=data.npz"], fragments)


def idx(*shape, magic=None, extra=0):
    head = struct.pack(f">I{len(shape)}I", 0x0800 | len(shape) if magic is None else magic, *shape)
    return head + bytes(int(np.prod(shape)) + extra)


IDX_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
IDX_GOOD = (idx(4, 28, 28), idx(4), idx(2, 28, 28), idx(2))
IDX_FILES = [
    ("wrong magic number", 0, b"PNG!" + idx(4, 28, 28)[4:], ["train-images", "0x504e4721"]),
    ("truncated", 2, idx(2, 28, 28, extra=-1), ["t10k-images", "1583 bytes", "1584"]),
    ("trailing bytes", 1, idx(4, extra=1), ["train-labels", "13 bytes", "12"]),
    ("counts that differ", 1, idx(3), ["train-labels", "3 labels", "4"]),
    ("labels for images", 0, idx(4), ["train-images", "1 dimension"]),
    ("empty", 3, b"", ["t10k-labels", "0 bytes"]),
    ("damaged gzip", 0, gzip.compress(idx(4, 28, 28))[:-9], ["train-images", "gzip"]),
    ("missing", 3, None, ["t10k-labels"]),
]


@pytest.mark.parametrize(("which", "content", "fragments"), [row[1:] for row in IDX_FILES], ids=[row[0] for row in IDX_FILES])
def test_idx_file(which, content, fragments, assert_refused, tmp_path):
    (tmp_path / "data").mkdir()
    for n, (name, good) in enumerate(zip(IDX_NAMES, IDX_GOOD)):
        chosen = content if n == which else good
        if chosen is not None:
            (tmp_path / "data" / name).write_bytes(chosen)
    assert_refused(["run", "mnist_santos_64kb", "--data", "data"], fragments)


WAVES = [
    ("stereo", "3_ann_5.wav", lambda p: write_wav(p, [0] * 2000, n_channels=2), ["2 channels", "mono"]),
    ("24 bit", "3_ann_5.wav", lambda p: write_wav(p, bytes(3000), width=3), ["24-bit", "16-bit"]),
    ("wrong sample rate", "3_ann_5.wav", lambda p: write_wav(p, [0] * 2000, rate=16000), ["16000 samples per second", "8000"]),
    ("empty file", "3_ann_5.wav", lambda p: p.write_bytes(b""), ["no readable WAV file", "16-bit mono PCM"]),
    ("no samples", "3_ann_5.wav", lambda p: write_wav(p, []), ["found 0 samples"]),
    ("no WAV file", "3_ann_5.wav", lambda p: p.write_bytes(b"ID3" + bytes(500)), ["no readable WAV file"]),
    ("a sample cut in two", "3_ann_5.wav", lambda p: (write_wav(p, [0] * 2000), p.write_bytes(p.read_bytes()[:-1])), ["cut off"]),
    ("longer than stated", "3_ann_5.wav", lambda p: write_wav(p, [0] * 3000), ["14 steps of 25 ms", "at most 9", "max_steps"]),
    ("label that is no number", "three_ann_5.wav", lambda p: write_wav(p, [0] * 2000), ["label 'three'", "{label}_{speaker}_{index}.wav"]),
    ("no index", "3_ann.wav", lambda p: write_wav(p, [0] * 2000), ["another name", "{label}_{speaker}_{index}.wav"]),
    ("a folder", "3_ann_5.wav", lambda p: (p.unlink(), p.mkdir()), ["cannot be read", "directory"]),
]


@pytest.fixture
def words(recordings, tmp_path):
    """Folder of good recordings, and a scenario that learns them."""
    shutil.copytree(recordings, tmp_path / "words")
    text = RECURRENT.replace("fsdd", "words").replace("max_steps: 95", "max_steps: 9")
    (tmp_path / "words.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "words"


@pytest.mark.parametrize(("name", "make", "fragments"), [row[1:] for row in WAVES], ids=[row[0] for row in WAVES])
def test_wav_file(name, make, fragments, assert_refused, words):
    make(words / name)
    assert_refused(["run", "words.yaml"], [f"words/{name}: ", *fragments])


def test_only_names_of_recordings_are_checked_without_a_run(assert_refused, main_cli, words):
    write_wav(words / "3_ann_5.wav", [0] * 9000)
    assert main_cli("check", "words.yaml").code == 0
    (words / "three_ann_5.wav").touch()
    assert_refused(["check", "words.yaml"], ["words/three_ann_5.wav", "label 'three'"])


def test_more_than_the_memory_of_this_computer(assert_refused, words):
    changes = ("training.batch_size=1048576", "dataset.max_steps=10000", "network.units=2000", "network.connectivity=0.001")
    on_chip = ("hardware.on_violation=report", "hardware.cores=1")
    arguments = ["run", "words.yaml", *(part for change in (*changes, *on_chip) for part in ("--set", change))]
    assert_refused(arguments, ["words: ", "too little memory", "training.batch_size", "dataset.max_steps"])


FOLDERS = [
    ("no training files", lambda path: int(path.stem.split("_")[2]) >= 5, ["words", "no train files"]),
    ("no test files", lambda path: int(path.stem.split("_")[2]) < 5, ["words", "no test files"]),
    ("one word", lambda path: not path.name.startswith("0_"), ["words", "only one class"]),
    ("a word of the test set only", lambda path: path.name.startswith("5_") and int(path.stem.split("_")[2]) >= 5, ["words", "label 5", "0 to 4"]),
    ("no file at all", lambda path: True, ["dataset.name", "words", "folder of WAV files"]),
]


@pytest.mark.parametrize(("leaves", "fragments"), [row[1:] for row in FOLDERS], ids=[row[0] for row in FOLDERS])
def test_folder_of_recordings(leaves, fragments, assert_refused, words):
    for path in filter(leaves, list(words.iterdir())):
        path.unlink()
    assert_refused(["run", "words.yaml"], fragments)


def test_options_of_recordings_for_images(assert_refused, tmp_path):
    (tmp_path / "data").mkdir()
    for name, content in zip(IDX_NAMES, IDX_GOOD):
        (tmp_path / "data" / name).write_bytes(content)
    arguments = ["run", "mnist_santos_64kb", "--set", "dataset.name=data", "--set", "dataset.max_steps=9"]
    assert_refused(arguments, ["data: found no recordings", "leave these options out"])


@pytest.mark.parametrize("name", ["mnist", "fsdd"])
def test_data_that_are_nowhere(name, assert_refused, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path / "data"))
    (tmp_path / "here").mkdir()
    (tmp_path / "words.yaml").write_text(RECURRENT, encoding="utf-8")
    scenario, how = ("mnist_santos_64kb", "neurosim data fetch mnist") if name == "mnist" else ("words.yaml", "doi 10.5281/zenodo.1342401")
    words = [f"'{name}'", "here", str(tmp_path / "data"), str(tmp_path / "cache"), how, "NEUROSIM_DATA"]
    assert_refused(["run", scenario, "--data", "here"], words)


# --- options ---

OPTIONS = [
    ("override without a value", ["--set", "training.epochs"], ["--set", "KEY=VALUE"]),
    ("override with nothing", ["--set", "training.epochs="], ["--set training.epochs", "no value"]),
    ("override of an unknown key", ["--set", "training.epoch=3"], ["--set", "training.epoch", "nearest: epochs"]),
    ("override inside a number", ["--set", "seed.x=3"], ["--set seed.x", "no keys"]),
    ("override beyond a list", ["--set", "network.layers.9=3"], ["--set network.layers.9", "0 to 2"]),
    ("price set of another chip", ["--set", "hardware.price_set=davies2018_sim"], ["--set: hardware.price_set", "known: derived_from_program"]),
    (
        "corner of a chip without any",
        ["--set", "hardware.profile=brainscales2", "--set", "hardware.corner=high"],
        ["--set: hardware.corner", "states no operating corners"],
    ),
    (
        "price set of another corner",
        ["--set", "hardware.profile=spinnaker2", "--set", "hardware.corner=0.5V", "--set", "hardware.price_set=scholze2026_arm_300mhz"],
        ["--set: hardware.price_set", "holds at corner 0.8V", "derived_from_program_150mhz"],
    ),
    ("override with broken YAML", ["--set", "network.layers=[1,"], ["--set network.layers"]),
    ("override of the wrong kind", ["--set", "training.epochs=many"], ["--set", "training.epochs", "'many'", "whole number"]),
    ("no threads", ["--threads", "0"], ["--threads", "found 0", "1 to"]),
    ("too many threads", ["--threads", "9999"], ["--threads", "found 9999"]),
    ("threads as a word", ["--threads", "all"], ["--threads"]),
    ("data folder that is not there", ["--data", "nowhere"], ["nowhere", "--data DIR"]),
    ("out is a file", ["--out", "file.txt"], ["file.txt", "is a file", "--out"]),
    ("out below a file", ["--out", "file.txt/run"], ["file.txt/run", "cannot be created"]),
    ("out is empty", ["--out", ""], ["--out"]),
    ("out with a null character", ["--out", "a\0b"], ["--out"]),
    ("unknown option", ["--epochs", "3"], ["--epochs"]),
    ("resume without a run", ["--resume"], ["runs/digits_santos", "--resume"]),
]


@pytest.mark.parametrize(("options", "fragments"), [row[1:] for row in OPTIONS], ids=[row[0] for row in OPTIONS])
def test_option(options, fragments, assert_refused, tmp_path):
    (tmp_path / "file.txt").write_text("mine", encoding="utf-8")
    assert_refused(["run", "digits_santos", "--set", "training.epochs=1", *options], fragments)


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        (["check", "small.yml"], ["small.yml", "no such file"]),
        (["check", "folder/"], ["folder", "no such scenario"]),
        (["check", "digits_santo"], ["nearest: digits_santos"]),
        (["check", "a\nb"], ["no such scenario"]),
        (["check", "\x1b[31mred"], ["no such scenario"]),
        (["scenarios", "show", "none"], ["known: ", "digits_brainscales2"]),
        (["profiles", "show", "santos"], ["no such hardware profile", "spinnaker2_santos"]),
        (["schema", "results"], ["nearest: result"]),
        (["data", "fetch", "cifar"], ["nearest: cifar10"]),
        (["data", "fetch", "fsdd"], ["cannot be fetched", "--data"]),
        (["report", "missing"], ["missing", "no such result"]),
        (["compare", "missing", "other"], ["missing", "no such result"]),
    ],
    ids=lambda value: None if isinstance(value, str) else ascii(" ".join(value)),
)
def test_word(arguments, fragments, assert_refused, tmp_path):
    (tmp_path / "folder").mkdir()
    assert_refused(arguments, fragments)


# --- checkpoints ---


def changed_meta(content, **changes):
    """A checkpoint whose text was edited by hand, its checksum left as it was."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = dict(archive)
    meta = json.loads(arrays.pop("meta").tobytes())
    meta["text"] = json.dumps({**json.loads(meta["text"]), **changes})
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, meta=np.frombuffer(json.dumps(meta).encode(), np.uint8))
    return buffer.getvalue()


def with_flipped_byte(content):
    """One byte of an array changed, and the checksum of the zip file made to agree."""
    source, buffer = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for name in source.namelist():
            data = bytearray(source.read(name))
            if name == "slots.weight.npy":
                data[-1] ^= 1
            target.writestr(name, bytes(data))
    return buffer.getvalue()


def compressed_and_damaged(content):
    source, buffer = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
        largest = max(target.infolist(), key=lambda info: info.compress_size)
    damaged = bytearray(buffer.getvalue())
    start = largest.header_offset + 30 + len(largest.filename)
    damaged[start : start + 40] = bytes(range(200, 240))
    return bytes(damaged)


CHECKPOINTS = [
    ("empty", lambda good: b"", ["not a readable checkpoint"]),
    ("text", lambda good: b"hello\n", ["not a readable checkpoint"]),
    ("cut in the middle", lambda good: good[: len(good) // 2], ["not a readable checkpoint"]),
    ("cut at the end", lambda good: good[:-1], ["not a readable checkpoint"]),
    ("another archive", lambda good: npz(), ["not a readable checkpoint"]),
    ("one plain array", lambda good: b"\x93NUMPY" + good[6:], ["not a readable checkpoint"]),
    ("one byte of an array", with_flipped_byte, ["damaged"]),
    ("damaged compressed data", compressed_and_damaged, ["not a readable checkpoint"]),
    ("edited by hand", lambda good: changed_meta(good, values={}), ["damaged"]),
]


@pytest.mark.parametrize(("make", "fragments"), [row[1:] for row in CHECKPOINTS], ids=[row[0] for row in CHECKPOINTS])
def test_checkpoint(make, fragments, assert_refused, tiny_run, tmp_path):
    good = (tiny_run.folder / "checkpoint.npz").read_bytes()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.npz").write_bytes(make(good))
    arguments = ["run", "digits_santos", "--set", "training.epochs=2", "--out", "run", "--resume"]
    assert_refused(arguments, ["run/checkpoint.npz", *fragments])


def test_no_flipped_byte_of_a_checkpoint_ends_in_a_traceback(tiny_run, tmp_path):
    good, path = (tiny_run.folder / "checkpoint.npz").read_bytes(), tmp_path / "checkpoint.npz"
    moments = random.Random(0)
    places = [moments.randrange(len(good)) for _ in range(150)]
    places += [len(good) - 1 - moments.randrange(3000) for _ in range(350)]  # the zip directory stands at the end
    n_refused = 0
    for place in places:
        damaged = bytearray(good)
        damaged[place] ^= 1 << moments.randrange(8)
        path.write_bytes(damaged)
        try:
            load_checkpoint(path, "nobody")
        except InputError as error:
            assert len(str(error).splitlines()) == 1
            n_refused += "different scenario" not in str(error)  # bytes that nothing reads, such as dates, may change
    assert n_refused > 100


def test_a_damaged_result_beside_a_finished_checkpoint(assert_refused, tiny_run, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.npz").write_bytes((tiny_run.folder / "checkpoint.npz").read_bytes())
    (tmp_path / "run" / "result.json").write_text('{"schema": "neurosim.result/1", "seed', encoding="utf-8")
    arguments = ["run", "digits_santos", "--set", "training.epochs=2", "--out", "run", "--resume"]
    assert_refused(arguments, ["run/result.json", "not a readable result"])


# --- the same through processes of their own ---


@pytest.mark.parametrize("row", [SCENARIOS[1], SCENARIOS[12], PROFILES[0]], ids=lambda row: row[0])
def test_in_a_process(row, run_cli, tmp_path):
    _, change, fragments = row
    text, line = replaced(PROFILE if row in PROFILES else SCENARIO, *change)
    (tmp_path / "file.yaml").write_text(text, encoding="utf-8")
    before = tree(tmp_path)
    command = ["profiles", "check"] if row in PROFILES else ["run"]
    result = run_cli(*command, "file.yaml", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    for fragment in ("neurosim: file.yaml:", *fragments):
        assert fragment.replace("LINE", str(line)) in result.stderr
    assert tree(tmp_path) == before


# --- validate ---

POSTERIOR = [
    ("a drift that is no number", ["--drift", "1,two"], ["--drift", "'1,two'", "commas"]),
    ("a drift of zero", ["--drift", "1,0"], ["--drift", "found 0", "above 0"]),
    ("a drift that is not finite", ["--drift", "1,inf"], ["--drift", "found inf"]),
    ("one drift", ["--drift", "1", "--active", "1"], ["--drift", "found 1 numbers", "2 to 100"]),
    ("drifts far apart", ["--drift", "1,5000"], ["--drift", "5000", "ratio"]),
    ("more active than positions", ["--drift", "1,2", "--active", "3"], ["--active", "found 3", "1 to 2"]),
    ("none active", ["--active", "0"], ["--active", "found 0"]),
    ("no temperature", ["--temperature", "0"], ["--temperature", "found 0", "above 0"]),
    ("negative step", ["--step-size", "-1e-3"], ["--step-size", "found -0.001"]),
    ("negative seed", ["--seed", "-1"], ["--seed", "found -1"]),
    ("no steps", ["--steps", "0"], ["--steps", "found 0"]),
    ("a step for ages", ["--step-size", "1e-9"], ["--step-size", "--steps", "larger step"]),
    ("misspelt option", ["--drft", "1,2"], ["--drft", "--drift"]),
]


@pytest.mark.parametrize(("options", "fragments"), [row[1:] for row in POSTERIOR], ids=[row[0] for row in POSTERIOR])
def test_validate_posterior(options, fragments, assert_refused):
    assert_refused(["validate", "posterior", *options], fragments)


SOFT = [
    ("all active", ["--fraction", "1"], ["--fraction", "found 1", "between 0 and 1"]),
    ("no pull", ["--l1", "0"], ["--l1", "found 0", "above 0"]),
    ("not a number", ["--temperature", "nan"], ["--temperature", "found nan"]),
    ("no steps", ["--steps", "0"], ["--steps", "found 0"]),
    ("a step for ages", ["--step-size", "1e-9"], ["--step-size", "larger step"]),
]


@pytest.mark.parametrize(("options", "fragments"), [row[1:] for row in SOFT], ids=[row[0] for row in SOFT])
def test_validate_soft(options, fragments, assert_refused):
    assert_refused(["validate", "soft_deep_r", *options], fragments)
