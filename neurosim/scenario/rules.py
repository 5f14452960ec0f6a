"""The `rewiring` part of a scenario: the keys are the fields of the rule that it names."""

import dataclasses
import hashlib
import importlib
import inspect
import os
import re
import sys
import typing
from functools import lru_cache
from typing import Annotated, ClassVar, Literal

import pydantic
from pydantic import BeforeValidator, Field, SerializeAsAny, WithJsonSchema

from neurosim.documents import Strict, WrongKey, as_tuple, check_part
from neurosim.errors import InputError, nearest
from neurosim.rewiring import RULES, Rule

Scope = Literal["core", "layer", "network"]
_USER_RULE = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*"


class Rewiring(Strict):
    """How connections move; see `neurosim.rewiring`. Every rule adds its own keys.

    Attributes
    ----------
    rule : str
        Name of a bundled rule, or ``package.module:Class`` of a module that was allowed with ``--plugin``.
    scope : str
        Where a released slot may be re-used: in its ``core`` and matrix, in its ``layer`` (matrix) on
        any core, or anywhere in the ``network``.
    matrices : tuple of int, optional
        Numbers of the weight matrices that rewire, counted from 0; all when left out. The others keep their connections, and their weights
        learn their signs, without the rule's L1 and noise.
    horizon : str, optional
        Of a scenario with phases: whether rules that anneal do so over every ``phase``, which they do when left out, or over the ``run``.
    """

    rule_class: ClassVar[type[Rule]]

    rule: str = "deep_r"
    scope: Scope = "core"
    matrices: Annotated[tuple[Annotated[int, Field(ge=0)], ...], as_tuple] | None = None
    horizon: Literal["phase", "run"] | None = None

    def free_matrices(self, n):
        """Numbers of the matrices that do not rewire, of `n`."""
        return () if self.matrices is None else tuple(m for m in range(n) if m not in self.matrices)

    def make_rule(self):
        """The rule with the hyper-parameters of the scenario."""
        return self.rule_class(**self.model_dump(exclude={"rule", "scope", "matrices", "horizon"}))

    def __reduce__(self):
        # The class is made when it is needed, so that pickle cannot find it by its name.
        return _empty_part, (self.rule, self.rule_class), self.__getstate__()

    @property
    def source_digest(self):
        """SHA-256 of the module of a user's rule, which decides the course of a run; None for bundled rules."""
        if self.rule in RULES:
            return None
        return hashlib.sha256(inspect.getsource(sys.modules[self.rule_class.__module__]).encode()).hexdigest()


@lru_cache
def keys_of(name, rule_class):
    """Schema of the `rewiring` part for one rule: a subclass of `Rewiring` with the rule's fields."""
    hints = typing.get_type_hints(rule_class, include_extras=True)
    fields = {f.name: (hints[f.name], f.default) for f in dataclasses.fields(rule_class) if f.init}
    model = pydantic.create_model(
        f"Rewiring_{re.sub(r'[^A-Za-z0-9_]', '_', name)}", __base__=Rewiring, rule=(Literal[name], name), scope=(Scope, "core"), **fields
    )
    model.rule_class = rule_class
    return model


def _empty_part(name, rule_class):
    """Part without its state, which unpickling gives it."""
    part = keys_of(name, rule_class)
    return part.__new__(part)


def find_rule(name, plugins=()):
    """Class of a rule: a bundled one by its name, a user's one as ``module:Class`` of an imported plugin.

    Parameters
    ----------
    name : str
    plugins : iterable of module
        Modules that the command line allowed.

    Raises
    ------
    ValueError
    """
    if name in RULES:
        return RULES[name]
    if not re.fullmatch(_USER_RULE, name):
        raise ValueError(f"found {name!r}; {nearest(name, RULES)}, or package.module:Class with --plugin")
    module_name, class_name = name.split(":")
    module = next((m for m in plugins if m.__name__ == module_name), None)
    if module is None:
        raise ValueError(f"found {name!r}; a scenario alone never runs code: allow the module with --plugin {module_name}")
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, Rule) and dataclasses.is_dataclass(found)):
        known = [key for key, value in vars(module).items() if isinstance(value, type) and issubclass(value, Rule)]
        raise ValueError(f"found {name!r}; {module_name} has no such dataclass derived from neurosim.rewiring.Rule; {nearest(class_name, known)}")
    return found


def load_plugin(name):
    """Import a user's module by its dotted name; the folder of the command counts as a place to look.

    Raises
    ------
    InputError
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        return importlib.import_module(name)
    except Exception as error:  # whatever a user's module raises while it is imported
        text = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"--plugin: cannot import {name!r} ({text}); give a module as in Python's import, found from this folder") from error


def _choose(data, info):
    """Validate the `rewiring` part by the rule that it names."""
    if not isinstance(data, dict):
        return data
    name = data.get("rule", "deep_r")
    if not isinstance(name, str):
        raise WrongKey(["rule"], f"found {name!r}; should be text")
    try:
        rule_class = find_rule(name, (info.context or {}).get("plugins", ()))
    except ValueError as error:
        raise WrongKey(["rule"], str(error)) from None
    part = check_part(keys_of(name, rule_class), data, what=f"rule {name}")
    try:
        part.make_rule()
    except ValueError as error:
        key, _, message = str(error).partition(": ")
        raise WrongKey([key], message) if key in type(part).model_fields else error from None
    return part


def _json_schema():
    """Any of the bundled rules with its keys, or a user's rule with keys of its own."""
    bundled = [keys_of(name, rule_class).model_json_schema() for name, rule_class in RULES.items()]
    user = {"type": "object", "required": ["rule"], "properties": {"rule": {"type": "string", "pattern": f"^{_USER_RULE}$"}}}
    return {"anyOf": [*bundled, user]}


#: Type of the key `rewiring` of a scenario.
RewiringChoice = Annotated[SerializeAsAny[Rewiring], BeforeValidator(_choose), WithJsonSchema(_json_schema())]
