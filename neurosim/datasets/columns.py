"""Tables by their columns: which one holds the labels, which are features."""

from .refusal import refuse

#: Names of a column of labels that need not be told.
USUAL_LABELS = ("label", "class", "target", "y", "labels", "classes", "targets", "category", "species")


def choose_columns(names, place, label, drop, has_text):
    """Positions of the features, and that of the labels.

    Parameters
    ----------
    names : sequence of str
        Of all columns.
    place : str or Path
        What errors name.
    label : str or None
        Column of the labels; without it the one with a usual name, else the only one that holds text, else it is asked for.
    drop : tuple of str
        Columns that are left out.
    has_text : callable
        Whether the column at a position holds text.

    Returns
    -------
    features : list of int
    label : int

    Raises
    ------
    InputError
        A column that is not there or twice, no column that must be the labels, no feature.
    """
    for key, wanted in (*((("dataset.label"), name) for name in [label] if label is not None), *(("dataset.drop", name) for name in drop)):
        if names.count(wanted) != 1:
            found = "no column" if wanted not in names else "more than one column"
            raise refuse(place, f"{found} {wanted} ({key})", f"one of {list_columns(names)}", "check the first line of the file")
    if label is not None and label in drop:
        raise refuse(place, f"column {label} in dataset.drop and dataset.label", "either", "leave it out of dataset.drop")
    left = [i for i, name in enumerate(names) if name not in drop]
    if label is not None:
        number = names.index(label)
    else:
        usual = [i for i in left if names[i].lower() in USUAL_LABELS]
        candidates = usual or [i for i in left if has_text(i)]
        if len(candidates) != 1:
            found = (
                f"several columns that may hold the labels ({list_columns([names[i] for i in candidates])})"
                if candidates
                else "no column that is called label or class"
            )
            raise refuse(place, found, "one column of labels", f"name it in dataset.label: {list_columns([names[i] for i in candidates or left])}")
        number = candidates[0]
    features = [i for i in left if i != number]
    if not features:
        raise refuse(place, f"no column beside the labels ({names[number]})", "at least one feature", "check the separator of columns")
    return features, number


def refuse_index(place, name, n_rows):
    """The error that refuses a column which counts the rows: with sorted data it would tell the class."""
    return refuse(
        place,
        f"column {name or '1, without a name,'} that counts the rows from 0 to {n_rows - 1}",
        "features",
        "write the file without an index (index=False), or name the column in dataset.drop",
    )


def list_columns(names, most=8):
    """Names in words, the first of many."""
    names = [name or "''" for name in names]
    return ", ".join(names[:most]) + (f", ... {names[-1]}" if len(names) > most else "")
