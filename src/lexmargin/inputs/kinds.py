"""The kinds of arguments, checked at every public entry: what was given, and what belongs there.

The annotations of a function say what each of its arguments is. :func:`checked` holds calls against
them before anything else runs; arrays, and whatever an annotation leaves open, are looked at where
they are read.
"""

from __future__ import annotations

import functools
import inspect
import operator
import os
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from enum import Enum
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    ParamSpec,
    TypeAlias,
    TypeVar,
    Union,
    final,
    get_args,
    get_origin,
    get_type_hints,
)

from lexmargin.errors import ParameterError, nearest, shown
from lexmargin.inputs.checks import Domain, domain_of, exponent

__all__ = [
    "Exponent",
    "KindError",
    "Listed",
    "Words",
    "check_kinds",
    "checked",
    "checked_class",
    "described",
]

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")

_LARGEST: Final = 2**63
"""Whole numbers up to here fit what they are handed to."""


class KindError(ParameterError, TypeError):
    """An argument of another kind than belongs there, or a call that does not fit the function."""


@final
@dataclass(frozen=True)
class Words:
    """Text that an argument may be instead of what its annotation says."""

    words: tuple[str, ...]


if TYPE_CHECKING:
    # Annotations are read at run time for what is converted, and by checkers for what is accepted.
    Exponent: TypeAlias = float | Literal["inf"]
    Listed: TypeAlias = Sequence[_T]
else:
    Exponent = Annotated[float, Words(("inf",)), Domain(exponent)]
    """p of a norm: a number >= 1, or "inf"."""
    Listed = tuple[_T, ...]
    """Any sequence; kept as a tuple."""
_ADVICE: Final = {
    ("Formulation", str): "Load it: lexmargin.load(…).",
    ("Formulation", Path): "Load it: lexmargin.load(…).",
    ("Dataset", tuple): "Give lexmargin.Dataset(X, y).",
    ("Dataset", list): "Give lexmargin.Dataset(X, y).",
    ("Dataset", str): "Load it: lexmargin.load_csv, load_npz or load_dataset.",
    ("Predictor", str): "Give a predictor such as lexmargin.Linear().",
}
_PLAIN: Final = (str, bytes, bool, int, float, complex, type(None))


@final
@dataclass(frozen=True)
class _Rule:
    """A kind: how to tell it, and what it is called. ``kind`` is the class, where it is one."""

    holds: Callable[[Any], bool]
    wanted: str
    kind: type | None = None


@final
@dataclass(frozen=True)
class _Plan:
    """What a function takes: the names in order, those that a call needs, and their kinds."""

    name: str
    places: tuple[str, ...]
    known: tuple[str, ...]
    needed: tuple[str, ...]
    rules: Mapping[str, _Rule] = field(default_factory=dict)
    domains: Mapping[str, Domain] = field(default_factory=dict)

    def read(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call by name, each as its domain has it."""
        given = {**dict(zip(self.places, args, strict=False)), **kwargs}
        for name in self.domains.keys() & given.keys():
            given[name] = self.domains[name].read(given[name], name)
        return given


def checked(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Hold every call of a function against its annotations.

    Raises:
        KindError: from the call, before the function runs.
    """

    @functools.wraps(function)
    def inner(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        check_kinds(function, args, kwargs)
        return function(*args, **kwargs)

    return inner


def checked_class(cls: type[_T]) -> type[_T]:
    """Hold the arguments of a class against the annotations of its constructor, as :func:`checked`.

    Goes above ``@dataclass``.
    """
    setattr(cls, "__init__", _constructor(cls, getattr(cls, "__init__")))  # noqa: B009, B010
    return cls


def _constructor(cls: type[Any], function: Callable[..., None]) -> Callable[..., None]:
    # At the first call, when every name in an annotation is known.
    @functools.cache
    def plan() -> _Plan:
        return _plan_of_class(cls, function)

    @functools.wraps(function)
    def inner(self: Any, *args: Any, **kwargs: Any) -> None:
        _check(plan(), args, kwargs)
        function(self, **plan().read(args, kwargs))

    return inner


def check_kinds(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> None:
    """Raise :class:`KindError` where a call does not fit a function's annotations."""
    _check(_plan(function), args, kwargs)


@functools.cache
def _plan(function: Callable[..., Any]) -> _Plan:
    hints = get_type_hints(function, include_extras=True)
    return _planned(function.__qualname__, inspect.signature(function), hints)


def _plan_of_class(cls: type[Any], function: Callable[..., Any]) -> _Plan:
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())[1:]
    # A constructor written by hand has annotations of its own; that of a dataclass has its fields'.
    hints = get_type_hints(cls, include_extras=True)
    if function.__module__ == cls.__module__:
        hints |= get_type_hints(function, include_extras=True)
    return _planned(cls.__name__, signature.replace(parameters=parameters), hints)


def _planned(name: str, signature: inspect.Signature, hints: Mapping[str, Any]) -> _Plan:
    parameters = signature.parameters.values()
    found = {p.name: _rule(hints[p.name]) for p in parameters if p.name in hints}
    domains = {p.name: domain_of(hints[p.name]) for p in parameters if p.name in hints}
    return _Plan(
        name,
        tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY),
        tuple(p.name for p in parameters),
        tuple(p.name for p in parameters if p.default is p.empty),
        {key: rule for key, rule in found.items() if rule is not None},
        {key: domain for key, domain in domains.items() if domain is not None},
    )


def _check(plan: _Plan, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    if len(args) > len(plan.places):
        raise KindError(
            f"{plan.name} was given {len(args)} arguments in order and takes {len(plan.places)}.",
            f"In order come {', '.join(plan.places)}; give the others by name.",
        )
    given = dict(zip(plan.places, args, strict=False))
    for name, value in kwargs.items():
        if name not in plan.known:
            raise KindError(f"{plan.name} takes no {shown(name)}.", nearest(name, plan.known))
        if name in given:
            raise KindError(f"{plan.name} was given {name} twice.", "Give it once.")
        given[name] = value
    for name, value in given.items():
        rule = plan.rules.get(name)
        if rule is not None and not rule.holds(value):
            raise KindError(
                f"{plan.name}: {name} must be {rule.wanted}, not {described(value)}.",
                _advice(plan, given, name, rule),
            )
    for name in plan.needed:
        if name not in given:
            raise KindError(f"{plan.name} needs {name}.", f"It takes {', '.join(plan.known)}.")


def described(value: Any) -> str:
    """Return what was given in a few words: plain values as they are, others by their kind."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, types.FunctionType):
        return f"the function {value.__name__}"
    if isinstance(value, _PLAIN) and not isinstance(value, Enum):
        return shown(value)
    if isinstance(value, (list, tuple, set, dict)):
        return f"the {type(value).__name__} {shown(value)}"
    return f"{_article(type(value).__name__)} {type(value).__name__}"


def _article(word: str) -> str:
    return "an" if word[:1] in "AEIOUaeiou" else "a"


def _advice(plan: _Plan, given: Mapping[str, Any], name: str, rule: _Rule) -> str:
    value = given[name]
    if isinstance(value, type) and rule.kind is not None and issubclass(value, rule.kind):
        return f"Make one of it: {value.__name__}(…)."
    for other, found in given.items():
        there = plan.rules.get(other)
        if there is None or there.kind is None or rule.kind is None or other == name:
            continue
        if rule.holds(found) and there.holds(value) and not there.holds(found):
            return f"It stands where {other} does: swap the two."
    for kind in rule.kind.__mro__ if rule.kind is not None else ():
        for (wanted, had), advice in _ADVICE.items():
            if kind.__name__ == wanted and isinstance(value, had):
                return advice
    return ""


# -- from annotations to kinds ---------------------------------------------------------------------


def _rule(hint: Any) -> _Rule | None:
    """Return the kind that an annotation names; None where it leaves everything open."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        rule = _rule(inner[0])
        for extra in inner[1:]:
            if rule is not None and isinstance(extra, Words):
                rule = _either([rule, _one_of(extra.words)])
        return rule
    if origin in (Union, types.UnionType):
        rules = [_rule(member) for member in inner]
        return None if None in rules else _either([rule for rule in rules if rule is not None])
    if origin is tuple or origin in (Sequence, Iterable):
        if origin is tuple and (len(inner) != 2 or inner[1] is not ...):
            return None
        return _list_of(_rule(inner[0]))
    if origin is Mapping:
        return _Rule(lambda value: isinstance(value, Mapping), "a table of names and values")
    if origin is Callable:
        return _function_of(len(inner[0]) if inner and isinstance(inner[0], list) else None)
    if not isinstance(hint, type) or origin is not None:
        return None
    return _of_class(hint)


def _of_class(hint: type) -> _Rule | None:
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    if issubclass(hint, Enum):
        words = tuple(str(member.value) for member in hint)
        exact = _Rule(lambda value: isinstance(value, hint), "", hint)
        return _either([exact, _one_of(words)], hint)
    # Arrays are looked at where they are read, whatever they are made of.
    if hint is object or hint.__module__.split(".")[0] != "lexmargin":
        return None
    return _Rule(
        lambda value: isinstance(value, hint), f"{_article(hint.__name__)} {hint.__name__}", hint
    )


def _either(rules: Sequence[_Rule], kind: type | None = None) -> _Rule:
    kinds = [rule.kind for rule in rules if rule.kind is not None]
    wanted = list(dict.fromkeys(rule.wanted for rule in rules if rule.wanted))
    return _Rule(
        lambda value: any(rule.holds(value) for rule in rules),
        " or ".join(wanted),
        kind or (kinds[0] if kinds else None),
    )


def _one_of(words: Sequence[str]) -> _Rule:
    listed = ", ".join(repr(word) for word in words)
    wanted = listed if len(words) == 1 else f"one of {listed}"
    return _Rule(lambda value: isinstance(value, str) and value in words, wanted)


def _list_of(item: _Rule | None) -> _Rule:
    def holds(value: Any) -> bool:
        # Text is a sequence of texts, and nobody means it.
        if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__len__"):
            return False
        try:
            return item is None or all(item.holds(entry) for entry in value)
        except TypeError:
            # A zero-dimensional array.
            return False

    return _Rule(holds, "a list" if item is None else f"a list with {item.wanted} in every place")


def _function_of(count: int | None) -> _Rule:
    """Return the kind of functions that can be called with so many arguments; any for None."""

    def holds(value: Any) -> bool:
        # A predictor can be called, too, and is never meant where somebody's function belongs.
        ours = is_dataclass(value) and type(value).__module__.split(".")[0] == "lexmargin"
        if not callable(value) or isinstance(value, type) or ours:
            return False
        try:
            if count is not None:
                inspect.signature(value).bind(*range(count))
        except TypeError:
            return False
        except ValueError:
            # Compiled functions do not tell.
            return True
        return True

    return _Rule(holds, "a function" if count is None else f"a function of {count} argument(s)")


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool) or type(value).__name__ in ("bool_", "bool")


def _is_whole(value: Any) -> bool:
    if _is_truth(value):
        return False
    try:
        return bool(abs(operator.index(value)) < _LARGEST)
    except TypeError:
        return False


def _is_number(value: Any) -> bool:
    if _is_truth(value) or isinstance(value, (str, bytes, complex)):
        return False
    if getattr(value, "shape", None):
        return False
    if not hasattr(value, "__float__") or type(value).__name__ in ("datetime64", "timedelta64"):
        return False
    try:
        float(value)
    except Exception:  # a number of foreign code, or one of more digits than a float has
        return False
    return True


_SIMPLE: Final[dict[type, _Rule]] = {
    type(None): _Rule(lambda value: value is None, "None"),
    bool: _Rule(_is_truth, "True or False"),
    int: _Rule(_is_whole, "a whole number"),
    float: _Rule(_is_number, "a number"),
    str: _Rule(lambda value: isinstance(value, str), "text"),
    Path: _Rule(lambda value: isinstance(value, os.PathLike), "a path"),
}
