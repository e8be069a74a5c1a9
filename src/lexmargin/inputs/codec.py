"""Strict reading and writing: the fields of a frozen dataclass are the schema, and nothing else.

The annotations say what each key holds: ``str``, ``bool``, ``int``, ``float``,
:class:`~lexmargin.inputs.expressions.Number`, an enumeration, ``tuple[T, ...]``, ``Mapping[K, V]``,
``frozenset[T]``, another dataclass, the base of a :class:`~lexmargin.inputs.family.Family`, or any
of these ``| None``; a :class:`~lexmargin.inputs.kinds.Domain` says which values. A field without a
default is required.

There are two forms. In a file, which people write, numbers may be exact strings, what has a default
may be left out, and the fields of a value of a family may stand beside its word. In a receipt,
which programs write, everything is stated, once and in one way. A record is what a program writes
of its own run, in the form of receipts: it may hold arrays, and there NaN is null and what is
infinite is "inf" or "-inf".
What follows from other fields, named in ``computed`` of the class, is written and not read.

A library of schemas such as pydantic would need validators of our own for exact numbers, families,
domains and both forms, which are most of this file, and its errors name no nearest known key.
"""

from __future__ import annotations

import dataclasses
import math
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from functools import cache
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Final,
    TypeVar,
    Union,
    cast,
    final,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

from lexmargin.errors import (
    ExpressionError,
    LexmarginError,
    LibraryError,
    ParameterError,
    UnknownNameError,
    nearest,
    shown,
)
from lexmargin.inputs.arrays import finite, in_record, out_of_record, unlisted
from lexmargin.inputs.checks import Domain
from lexmargin.inputs.expressions import Number, number, numbers
from lexmargin.inputs.family import Family
from lexmargin.inputs.kinds import Words, described
from lexmargin.inputs.limits import NESTED_TABLES

__all__ = ["Field", "Table", "Where", "fields_written", "read_as", "schema", "written"]

_T = TypeVar("_T")
_LARGEST: Final = 10**9
"""Of a whole number in a receipt: larger ones count nothing that fits a memory."""


@final
@dataclass(frozen=True)
class Where:
    """A place in a text, for error messages: the file, where there is one, and the dotted key.

    ``exact`` says that the text is a receipt or a record, and ``record`` which of the two.
    """

    file: Path | str
    key: str = ""
    exact: bool = False
    depth: int = 0
    record: bool = False

    def at(self, key: str) -> Where:
        return self._inside(f"{self.key}.{key}" if self.key else key)

    def item(self, index: int) -> Where:
        return self._inside(f"{self.key}[{index}]")

    def _inside(self, key: str) -> Where:
        return dataclasses.replace(self, key=key, depth=self.depth + 1)

    def __str__(self) -> str:
        return ": ".join(filter(None, (str(self.file), self.key)))


@final
@dataclass(frozen=True)
class Field:
    """One field of a schema: its name, its annotation, and what its metadata say."""

    name: str
    hint: Any
    needed: bool
    default: Any
    states: bool
    later: bool
    family: Family | None
    """Whose word stands for it, where its own fields stand beside that word."""


def schema(cls: type[Any]) -> tuple[Field, ...]:
    """Return the fields that texts set, in their order.

    Raises:
        ParameterError: no dataclass.
    """
    return _schema(cast("Any", cls))


@cache
def _schema(cls: Any) -> tuple[Field, ...]:
    if not dataclasses.is_dataclass(cls):
        raise ParameterError(
            f"{cls.__name__} is no dataclass, and so nobody knows its parameters.",
            "Put @dataclass(frozen=True) above it.",
        )
    stated = [
        one
        for one in dataclasses.fields(cls)
        if one.init and not one.metadata.get("internal", False)
    ]
    hints: dict[str, Any] = _hints(cast("type[Any]", cls), [one.name for one in stated])
    found = []
    for one in stated:
        default = one.default
        if one.default_factory is not dataclasses.MISSING:
            default = one.default_factory()
        hint, beside = hints[one.name], one.metadata.get("beside", False)
        found.append(
            Field(
                one.name,
                hint,
                default is dataclasses.MISSING,
                default,
                bool(one.metadata.get("states", True)),
                bool(one.metadata.get("later", False)),
                hint.family if beside else None,
            )
        )
    return tuple(found)


def _hints(cls: type[Any], names: Sequence[str]) -> dict[str, Any]:
    """Return the annotations of fields alone: others may name what only checkers import."""
    found: dict[str, Any] = {}
    for base in cls.__mro__:
        own = vars(base).get("__annotations__", {})
        missing = {name: own[name] for name in names if name in own and name not in found}
        holder = types.SimpleNamespace(__annotations__=missing)
        # A class made at run time may say that it is from a module that nobody has imported.
        module = vars(sys.modules.get(base.__module__, types))
        found |= get_type_hints(holder, globalns=module, include_extras=True)
    return found


def _names(cls: type[Any]) -> tuple[str, ...]:
    """Return the keys of a class in a file, less those that stand beside a word."""
    return tuple(one.family.key if one.family else one.name for one in schema(cls))


# -- reading ---------------------------------------------------------------------------------------


@final
class Table:
    """The keys of one table: all of them claimed by schemas before any is read.

    Raises:
        LibraryError: no table, or one inside too many others.
    """

    def __init__(self, raw: object, where: Where) -> None:
        if not isinstance(raw, Mapping):
            raise _wrong(where, "a table", raw)
        if where.depth > NESTED_TABLES:
            raise LibraryError(f"{where} is nested too deeply.", "Nest less.")
        self.where = where
        self._raw = raw
        self._words: list[tuple[Family, str]] = []
        self._known: list[str] = []
        self._elsewhere: set[str] = set()

    def claim(self, *names: str) -> None:
        """Allow keys."""
        self._known += names

    def claim_class(self, cls: type[Any], skipped: Sequence[str] = ()) -> None:
        """Allow the keys of a class, and of the classes whose fields stand beside its own."""
        self._elsewhere |= set(skipped)
        if self.where.record:
            self._known += getattr(cls, "computed", ())
        for one in schema(cls):
            if one.name in skipped:
                continue
            if one.family is None or self.where.exact:
                self._known.append(one.name)
            elif one.needed or one.family.key in self._raw:
                self.claim_class(self.class_of(one.family, one.family.key))
            else:
                self._known.append(one.family.key)
                self._words.append((one.family, one.family.word(type(one.default))))

    def class_of(self, family: Family, key: str) -> type[Any]:
        """Return the class whose word a key holds.

        Raises:
            LibraryError: the key is missing, or holds no text.
            UnknownNameError: a word that no class has (with the nearest).
        """
        self.claim(key)
        if key not in self._raw:
            raise self._missing(key)
        word = self._raw[key]
        if not isinstance(word, str):
            raise _wrong(self.where.at(key), "text in quotes", word)
        if word not in family.classes:
            raise UnknownNameError(
                f"{self.where.at(key)}: unknown word {shown(word)}.", nearest(word, family.classes)
            )
        self._words.append((family, word))
        return family.classes[word]

    def check(self) -> None:
        """Refuse what nobody claimed, and name whose it would be, or what is meant."""
        for key in self._raw:
            if key in self._known:
                continue
            for family, word in self._words[::-1]:
                owners = [w for w, cls in family.classes.items() if key in _names(cls)]
                if owners:
                    names = _names(family.classes[word])
                    takes = ", ".join(name for name in names if name not in self._elsewhere)
                    raise LibraryError(
                        f"{self.where}: the {family.noun} {word!r} has no {key!r}.",
                        f"It takes {takes or 'no parameters'}; {key} belongs to "
                        f"{', '.join(owners)}.",
                    )
            raise LibraryError(
                f"{self.where}: unknown key {shown(key)}.", nearest(str(key), self._known)
            )

    def _missing(self, key: str) -> LibraryError:
        return LibraryError(f"{self.where}: the key {key!r} is missing.", f"Add a line {key} = ….")

    def values(
        self, cls: type[Any], skipped: Sequence[str] = (), needed: Sequence[str] = ()
    ) -> dict[str, Any]:
        """Return the stated fields of a class, ``needed`` ones besides those without default."""
        found: dict[str, Any] = {}
        for one in schema(cls):
            if one.name in skipped:
                continue
            if one.family is not None and not self.where.exact:
                if one.needed or one.family.key in self._raw:
                    inner = self.class_of(one.family, one.family.key)
                    found[one.name] = _made(inner, self.values(inner), self.where)
            elif one.name in self._raw:
                found[one.name] = _read(one.hint, self._raw[one.name], self.where.at(one.name))
                if self.where.exact and one.later and found[one.name] == one.default:
                    raise LibraryError(
                        f"{self.where.at(one.name)} is {one.default}.", "Leave it out there."
                    )
            elif one.needed or one.name in needed or (self.where.exact and not one.later):
                raise self._missing(one.name)
        return found


def read_as(cls: type[_T], raw: object, where: Where, **internal: object) -> _T:
    """Return a table as an instance of a dataclass, or of a class of the family that it heads.

    ``internal`` gives the fields marked ``metadata={"internal": True}``, which no text may set.

    Raises:
        LibraryError: an unknown key (with the nearest known one), a missing key, a wrong type.
        UnknownNameError: a word outside its enumeration or family.
        ExpressionError: text that should be a number and is not.
        ParameterError: a value outside its domain.
    """
    table = Table(raw, where)
    made: type[Any] = cls
    if not dataclasses.is_dataclass(cls):
        made = table.class_of(cast("Any", cls).family, "kind")
    table.claim_class(made)
    table.check()
    found: _T = _made(made, {**table.values(made), **internal}, where)
    return found


def _made(cls: type[Any], values: Mapping[str, Any], where: Where) -> Any:
    """Return an instance; what its constructor refuses is refused here, at this place."""
    try:
        return cls(**values)
    except LexmarginError as error:
        raise type(error)(f"{where}: {error.problem}", error.advice) from None


def _wrong(where: Where, wanted: str, raw: object) -> LibraryError:
    words = {
        bool: "a truth value",
        str: "text",
        int: "an integer",
        Decimal: "a decimal",
        float: "a decimal",
        list: "a list",
        dict: "a table",
    }
    found = words.get(type(raw), type(raw).__name__)
    return LibraryError(f"{where} is {found}.", f"Write {wanted} there.")


def _read(hint: Any, raw: object, where: Where) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        words = next((extra.words for extra in inner[1:] if isinstance(extra, Words)), ())
        value = raw if isinstance(raw, str) and raw in words else _read(inner[0], raw, where)
        domains = (extra for extra in inner[1:] if isinstance(extra, Domain))
        return next((domain.read(value, str(where)) for domain in domains), value)
    if origin in (Union, types.UnionType):
        members = [member for member in inner if member is not type(None)]
        if where.exact and raw is None and len(members) < len(inner):
            return None
        return _read(members[0], raw, where) if len(members) == 1 else _scalar(raw, where)
    if origin is np.ndarray:
        return unlisted(raw, str(where))
    if origin in (tuple, frozenset):
        if not isinstance(raw, list):
            raise _wrong(where, "a list", raw)
        if origin is tuple and inner[-1] is not ... and len(raw) != len(inner):
            raise LibraryError(f"{where} has {len(raw)} entries.", f"Write {len(inner)} there.")
        if inner[0] is Number:
            return _numbers(raw, where)
        values = [_read(inner[0], value, where.item(i)) for i, value in enumerate(raw)]
        return tuple(values) if origin is tuple else frozenset(values)
    if origin is Mapping:
        if not isinstance(raw, dict):
            raise _wrong(where, "a table", raw)
        pairs = {_read(inner[0], k, where): _read(inner[1], v, where.at(k)) for k, v in raw.items()}
        # Results are sent to other processes, which proxies cannot be.
        return pairs if where.record else types.MappingProxyType(pairs)
    if hint is not Number and (dataclasses.is_dataclass(hint) or hasattr(hint, "family")):
        return read_as(hint, raw, where)
    return _simple(hint, raw, where)


def _simple(hint: Any, raw: object, where: Where) -> Any:
    if hint is Number:
        return _number(raw, where)
    if hint is float:
        return _double(raw, where) if where.exact else _number(raw, where).value
    if hint is int:
        if type(raw) is int and (where.record or not where.exact or abs(raw) <= _LARGEST):
            return raw
        raise _wrong(where, "an integer", raw)
    if hint is bool:
        if isinstance(raw, bool):
            return raw
        raise _wrong(where, "true or false", raw)
    if not isinstance(raw, str):
        raise _wrong(where, "text in quotes", raw)
    if isinstance(hint, type) and issubclass(hint, Enum):
        words = [str(member.value) for member in hint]
        if raw not in words:
            raise UnknownNameError(f"{where}: unknown word {shown(raw)}.", nearest(raw, words))
        return hint(raw)
    return raw


def _numbers(raw: list[object], where: Where) -> tuple[Number, ...]:
    plain = [_given(entry, where, i) for i, entry in enumerate(raw)]
    try:
        return numbers(plain)
    except ExpressionError:
        # Which one it is says the name of its place.
        return tuple(_number(entry, where.item(i)) for i, entry in enumerate(raw))


def _number(raw: object, where: Where) -> Number:
    plain = _given(raw, where)
    try:
        return number(plain)
    except ExpressionError as error:
        raise ExpressionError(f"{where}: {error.problem}", error.advice) from None


def _given(raw: object, where: Where, item: int | None = None) -> int | float | Decimal | str:
    if isinstance(raw, bool) or not isinstance(raw, int | float | Decimal | str):
        place = where if item is None else where.item(item)
        raise _wrong(place, "a number or an exact string", raw)
    return raw


def _double(raw: object, where: Where) -> float:
    if where.record:
        return out_of_record(raw, str(where))
    if isinstance(raw, int | float) and not isinstance(raw, bool) and math.isfinite(raw):
        return float(raw)
    raise _wrong(where, "a finite number", raw)


def _scalar(raw: object, where: Where) -> float | int | str | bool:
    if isinstance(raw, Decimal):
        return float(raw)
    if isinstance(raw, bool | int | str):
        return raw
    raise _wrong(where, "a number, a text or a truth value", raw)


# -- writing ---------------------------------------------------------------------------------------


def written(value: Any, *, exact: bool) -> dict[str, Any]:
    """Return a dataclass as the table that is read back as an equal one, of plain values.

    Args:
        value: an instance; of a family it says its word.
        exact: in the form of receipts.

    Raises:
        ParameterError: a class without a word of its own, or a field that no text holds.
    """
    family: Family | None = getattr(type(value), "family", None)
    head = {} if family is None else {"kind": family.word(type(value))}
    return head | fields_written(value, exact=exact)


def fields_written(value: Any, *, exact: bool, skipped: Sequence[str] = ()) -> dict[str, Any]:
    """Return the fields of a dataclass, as :func:`written`.

    Receipts are without what says how a problem is solved, files without what is empty; NaN is
    null, and what is infinite "inf" or "-inf".
    """
    found: dict[str, Any] = {}
    for one in schema(type(value)):
        entry = getattr(value, one.name)
        empty = entry is None or (isinstance(entry, str | tuple) and not entry)
        usual = (one.later if exact else empty) and entry == one.default
        if one.name in skipped or usual or (exact and not one.states):
            continue
        if one.family is not None and not exact:
            table = written(entry, exact=False)
            found |= {one.family.key: table.pop("kind"), **table}
        else:
            found[one.name] = _plain(one.hint, entry, exact)
    computed: Mapping[str, Callable[[Any], Any]] = getattr(type(value), "computed", {})
    for name, of in computed.items() if exact else ():
        entry = of(value)
        found[name] = entry.value if isinstance(entry, Enum) else finite(entry)
    return found


def _plain(hint: Any, value: Any, exact: bool) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if isinstance(value, bool) or (value is None and exact):
        return value
    if origin is Annotated and value is not None:
        words = next((extra.words for extra in inner[1:] if isinstance(extra, Words)), ())
        return "inf" if "inf" in words and value == math.inf else _plain(inner[0], value, exact)
    if origin in (Union, types.UnionType) and value is not None:
        return _plain(next(member for member in inner if member is not type(None)), value, exact)
    if origin is tuple:
        return [_plain(inner[0], entry, exact) for entry in value]
    if origin is Mapping and value is not None:
        return {str(key): _plain(inner[1], entry, exact) for key, entry in value.items()}
    if isinstance(value, Enum):
        return value.value
    if hint is Number:
        return value.value
    if origin is np.ndarray and value is not None:
        return in_record(value)
    if hint is float and value is not None:
        return in_record(float(value))
    if isinstance(value, np.integer):
        return int(value)
    if dataclasses.is_dataclass(value):
        return written(value, exact=exact)
    if not isinstance(value, int | str):
        raise ParameterError(
            f"No file holds {described(value)}.", "Use numbers, texts, and tuples of them."
        )
    return value
