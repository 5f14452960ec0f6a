"""docs/validation.md, from the results of `neurosim validate all`."""

from neurosim.reports.validation_table import figures, remarks

_HEAD = """\
# Validation: published results and exact laws

Written by `neurosim validate all --markdown > docs/validation.md`; a test fails when this page is stale. `neurosim validate`
prints the first table in under two seconds, `neurosim validate posterior --drift 1,2,4,8 --active 2` any case of the last one.
Both end with exit code 4 when a figure leaves its band.

## Published energies, powers and sizes

Each case (`neurosim/validation/cases/`) is a file with the workload, the published figure, its source and its band. Prices, static
power, sizes and clocks come from the hardware profiles. The workload becomes a table of events, which the code that accounts for
runs prices: another price, or another way of pricing, moves these figures. "Independent" says whether the prices were obtained
without the total that they predict; where they were not, the case guards the arithmetic and shows nothing about the chip.
"""
_LAWS = """\
## Exact laws of DEEP R

Constant gradients at every position, through the synapse store and the compiled steps that train. K of N positions are active. In the
limit of small steps P(active set) is proportional to the product of 1/mu over the set, and theta given active is exponential
with mean T/mu. The finite step moves both by a known amount: the columns *finite step* hold the exact law at this step size (the life
and the maximum of a Gaussian random walk, `neurosim/validation/laws.py`), whose first correction of the mean is T/mu - 0.5826
sqrt(2 eta T). A case is inside when each probability lies in the band around the limit *and* each probability and mean lies within
5 standard errors of the law of the finite step, and the standard error is at most a fifth of the band. The band is 0.015 up to the
largest scaled drift mu sqrt(eta / 2T) of the documented case (mu = 8, T = 1, eta = 1e-3, where the step alone makes 0.012 of it) and
grows in proportion beyond. Standard errors come from 128 independent copies, so no correlation time is guessed.
"""

_SOFT = """\
## soft DEEP R

One connection without a loss falls at speed alpha above 0 and walks freely between theta_min = -T (1 - p) / (alpha p) and 0. For
small steps it is active with probability (T/alpha) / (T/alpha + |theta_min|) = p, and theta given active has mean T/alpha. Steps are cut
off at theta_min, which in first order makes |theta_min| longer by 0.5826 sqrt(2 eta T) (*corrected*); *finite step* is the stationary
law of the step itself, by quadrature. 2,304 copies through the rule, its dormant parameters and the store; bands as above.
"""

_COUNTS = """\
## Events, packets and hops against another simulator

`neurosim export RUN --format sanafe --out FOLDER` writes one training step of an event-driven run for SANA-FE (SLAM-Lab),
which counts events in its own way: cores on their mesh with the profile's prices, the synapses of the checkpoint, and
which activations and errors are not zero in the first batch of the training set. `tests/validation/test_sanafe.py` replays such a
folder for a batch of MNIST on four cores, one to a tile and two to a tile: forward, backward, gradient and update. Synaptic
events, weight updates, packets sent and received, and hops in both directions are equal as integers on every core, and energies
to 1e-12. SANA-FE is under the GPL, so it is an extra for tests (`pip install 'neurosim[sanafe]'`): the package writes its files
and never imports it; where it is not installed, the test is skipped and says so. It charges a message to the own core like any
other; here it is no packet, and the test takes it out.
"""


def validation_page(rows, laws):
    """Markdown page.

    Parameters
    ----------
    rows : list of dict
        Of `validation.published.validate_published`.
    laws : list of dict
        Of `validation.posterior.validate_posterior` and `validation.soft.validate_soft`.

    Returns
    -------
    str
    """
    sources = list(dict.fromkeys(row["source"] for row in rows if row["source"]))
    parts = [_HEAD, _table(_published_rows(rows, sources), ("#", "claim", "published", "ours", "error", "band", "independent", "verdict"))]
    parts += ["".join(f"- {text}\n" for text in remarks(rows)), "Published by:\n"]
    parts += ["".join(f"{i}. {source}\n" for i, source in enumerate(sources, 1)), _LAWS]
    header = ("mu", "P limit", "P finite step", "P simulated", "error", "theta limit", "corrected", "finite step", "simulated", "error")
    for law in (law for law in laws if law["case"] == "posterior"):
        parts.append(
            f"K = {law['active']} of {len(law['positions'])}, T = {law['temperature']:g}, eta = {law['step_size']:g}, {law['copies']} copies of "
            f"{law['steps']:,} steps, {law['exchanged']:,} exchanges; band {law['band']:.3g}; verdict: **{law['verdict']}**\n"
        )
        parts.append(_table(_law_rows(law), header))
    parts += [_SOFT, _table(_soft_rows(laws), ("p", "alpha", "T", "eta", *header[1:2], "P corrected", *header[2:6], *header[7:], "verdict"))]
    parts.append(_COUNTS)
    return "\n".join(parts)


def _published_rows(rows, sources):
    said = None
    for row in rows:
        published, cited, *numbers = figures(row, f"[{sources.index(row['source']) + 1}]" if row["source"] else "")
        used = ", ".join(filter(None, (f"`{row['profile']}`", row["price_set"])))
        claim = f"{row['point']} ({used})" if row["claim"] == said else f"**{row['title']}**: {row['claim']}. {row['point']} ({used})"
        said = row["claim"]
        yield row["number"], claim, f"{published} {cited}".strip(), *numbers, row["independent"], row["verdict"]


def _soft_rows(laws):
    for law in (law for law in laws if law["case"] == "soft_deep_r"):
        chance, mean = law["active"], law["theta"]
        values = [chance[name] for name in ("theory", "corrected", "finite_step", "simulated", "standard_error")]
        values += [mean[name] for name in ("theory", "finite_step", "simulated", "standard_error")]
        setting = (f"{law[name]:g}" for name in ("fraction", "l1", "temperature", "step_size"))
        yield *setting, *(f"{value:.4f}" for value in values), law["verdict"]


def _law_rows(law):
    for position in law["positions"]:
        theta = position["theta"]
        chances = [position[name] for name in ("theory", "finite_step", "simulated", "standard_error")]
        means = [theta[name] for name in ("theory", "corrected", "finite_step", "simulated", "standard_error")]
        yield f"{position['drift']:g}", *("" if value is None else f"{value:.4f}" for value in (*chances, *means))


def _table(rows, header):
    lines = [header, ["---"] * len(header), *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "/") for cell in line) + " |\n" for line in lines)
