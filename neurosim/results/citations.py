"""What a paper with a run should cite, as BibTeX: the methods that it used, its data, and the sources of the chip's numbers."""

import re

_METHODS = {
    "deep_r": """@inproceedings{bellec2018deep,
  author = {Bellec, Guillaume and Kappel, David and Maass, Wolfgang and Legenstein, Robert},
  title = {Deep rewiring: Training very sparse deep networks},
  booktitle = {International Conference on Learning Representations},
  year = {2018},
  eprint = {1711.05136},
  archiveprefix = {arXiv}
}""",
    "set": """@article{mocanu2018scalable,
  author = {Mocanu, Decebal Constantin and Mocanu, Elena and Stone, Peter and Nguyen, Phuong H. and Gibescu, Madeleine and Liotta, Antonio},
  title = {Scalable training of artificial neural networks with adaptive sparse connectivity inspired by network science},
  journal = {Nature Communications},
  volume = {9},
  pages = {2383},
  year = {2018}
}""",
    "rigl": """@inproceedings{evci2020rigging,
  author = {Evci, Utku and Gale, Trevor and Menick, Jacob and Castro, Pablo Samuel and Elsen, Erich},
  title = {Rigging the lottery: Making all tickets winners},
  booktitle = {International Conference on Machine Learning},
  year = {2020}
}""",
    "prune": """@article{zhu2017prune,
  author = {Zhu, Michael and Gupta, Suyog},
  title = {To prune, or not to prune: exploring the efficacy of pruning for model compression},
  journal = {arXiv preprint arXiv:1710.01878},
  year = {2017}
}""",
    "prune_retrain": """@inproceedings{han2015learning,
  author = {Han, Song and Pool, Jeff and Tran, John and Dally, William J.},
  title = {Learning both weights and connections for efficient neural networks},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2015}
}""",
    "l1_shrinkage": """@article{collins2014memory,
  author = {Collins, Maxwell D. and Kohli, Pushmeet},
  title = {Memory bounded deep convolutional networks},
  journal = {arXiv preprint arXiv:1412.1442},
  year = {2014}
}""",
    "adam": """@inproceedings{kingma2015adam,
  author = {Kingma, Diederik P. and Ba, Jimmy},
  title = {Adam: A method for stochastic optimization},
  booktitle = {International Conference on Learning Representations},
  year = {2015}
}""",
    "lstm": """@article{hochreiter1997long,
  author = {Hochreiter, Sepp and Schmidhuber, J{\\"u}rgen},
  title = {Long short-term memory},
  journal = {Neural Computation},
  volume = {9},
  number = {8},
  pages = {1735--1780},
  year = {1997}
}""",
    "mnist": """@article{lecun1998gradient,
  author = {LeCun, Yann and Bottou, L{\\'e}on and Bengio, Yoshua and Haffner, Patrick},
  title = {Gradient-based learning applied to document recognition},
  journal = {Proceedings of the IEEE},
  volume = {86},
  number = {11},
  pages = {2278--2324},
  year = {1998}
}""",
    "digits": """@misc{alpaydin1998optical,
  author = {Alpaydin, Ethem and Kaynak, Cenk},
  title = {Optical recognition of handwritten digits},
  howpublished = {UCI Machine Learning Repository},
  year = {1998}
}""",
    "fsdd": """@misc{jackson2018fsdd,
  author = {Jackson, Zohar and others},
  title = {Free Spoken Digit Dataset},
  doi = {10.5281/zenodo.1342401}
}""",
}
_METHODS |= {"soft_deep_r": _METHODS["deep_r"], "mnist_rows": _METHODS["mnist"]}
_SPECIAL = {"\\": r"\textbackslash{}", **{c: f"\\{c}" for c in "&%$#_{}"}, "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def bibtex(record):
    """BibTeX entries of a run.

    Parameters
    ----------
    record : RunRecord

    Returns
    -------
    str
        Sources of the chip are entries of type ``misc`` with the text of the profile as note.
    """
    scenario = record.scenario
    names = (
        scenario.get("rewiring", {}).get("rule", "deep_r"),
        scenario.get("training", {}).get("optimizer"),
        scenario.get("network", {}).get("type"),
        record.dataset.name,
    )
    entries = dict.fromkeys(_METHODS[name] for name in names if name in _METHODS)
    return "\n\n".join([*entries, *(_source(record.profile.name, key, text) for key, text in _sources(record).items())]) + "\n"


def _sources(record):
    """Text of every source of a number that the run used, by its key in the profile."""
    found = {row["source_key"]: row["source"] for row in record.profile.prices if row.get("source_key")}
    uses = [*record.verdict.get("violations", ()), *record.verdict.get("headroom", ())]
    for use in uses:  # ``storage.local_bytes (liu2018: Liu et al. 2018, ...)``
        for key, text in re.findall(r"\((\w+): (.*)\)$", use.get("source") or ""):
            found.setdefault(key, text)
    return found


def _source(profile, key, text):
    note = "".join(_SPECIAL.get(c, c) for c in text)
    return f"@misc{{{profile}_{key},\n  note = {{{note}}}\n}}"
