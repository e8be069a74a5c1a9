"""Docstrings write formulas as plain text, readable in a terminal; here they become equations."""

from __future__ import annotations

import re
from typing import Any

from latex2mathml.converter import convert

__all__ = ["as_latex", "is_formula", "setup", "with_equations"]

# A span in single or double backticks that no role claims.
_SPAN = re.compile(r"(?<![:`\w])(``|`)(?=[^`\s])([^`]+?)(?<=[^`\s])\1(?![`_])", re.DOTALL)
_SIGNS = re.compile("[α-ωΣΠ∇‖·∈≤≥≈½²³⁴√∞→∂ℓ∀×⊥∥∠]|[<>]=|[A-Za-z]\\^")
_INDEXED = re.compile(r"(?<![\w])[A-Za-z]_\{?[\w*]{1,2}(?!\w)")
_CODE = re.compile(
    r"[\"'@#]|\b(?:self|lm|np|torch)\.|\b[a-zA-Z]{2,}_[a-z]{2,}|\w{2,}\[|\w+\.\w+\(|\*\*|//"
)
_FUNCTIONS = {
    **{
        name: f"\\{name}" for name in ("min", "max", "log", "exp", "ln", "sup", "inf", "cos", "sin")
    },
    **{name: f"\\operatorname{{{name}}}" for name in ("argmin", "argmax", "relu", "softmax")},
    **{name: f"\\operatorname{{{name}}}" for name in ("logsumexp", "rank", "supp", "sign", "mod")},
    "sqrt": "\\operatorname{sqrt}",
    "s.t.": "\\text{s.t.}",
}
_LETTERS = {
    **dict(zip("αβγδζηθικλμ", ("alpha", "beta", "gamma", "delta", "zeta", "eta", "theta", "iota",
                               "kappa", "lambda", "mu"), strict=True)),
    **dict(zip("νξπρστφχψω", ("nu", "xi", "pi", "rho", "sigma", "tau", "varphi", "chi", "psi",
                              "omega"), strict=True)),
    "ε": "varepsilon", "Σ": "sum", "Π": "prod", "∇": "nabla", "·": "cdot", "∈": "in",
    "≤": "le", "≥": "ge", "≈": "approx", "∞": "infty", "→": "to", "∂": "partial", "ℓ": "ell",
    "∀": "forall", "×": "times", "⊥": "perp", "∥": "parallel", "∠": "angle", "…": "ldots",
    "⊆": "subseteq", "−": "-",
}  # fmt: skip
_RAISED = {"²": "2", "³": "3", "⁴": "4", "¹": "1", "ᵀ": "\\top", "⁻": "-"}
_TOKEN = re.compile(
    r"(?P<function>(?<![A-Za-z])(?:s\.t\.|"
    + "|".join(k for k in _FUNCTIONS if "." not in k)
    + r")(?![A-Za-z]))"
    r"|(?P<hat>\ŵ)|(?P<scaled>(?<=[\w}])\*(?=[\s()),.;|‖^]|$))"
    r"|(?P<script>[_^](?!\{)(?P<inside>-?[^\W_]+|\*))"
    r"|(?P<brace>(?<![_^]){[^{}]*})|(?P<power>(?<![\w.])1e-?\d+)"
    r"|(?P<relation>>=|<=|->|!=|==)|(?P<raised>[¹²³⁴ᵀ⁻]+)|(?P<gap> {2,})"
    r"|(?P<word>[A-Za-z]{2,}(?:[ -][A-Za-z]{2,})*)|(?P<one>.)",
    re.DOTALL,
)
_RELATIONS = {">=": "\\ge ", "<=": "\\le ", "->": "\\to ", "!=": "\\ne ", "==": "= "}


def is_formula(text: str) -> bool:
    """Tell a formula from code: a sign of mathematics, and nothing only code has."""
    if _CODE.search(text):
        return False
    return bool(_SIGNS.search(text) or _INDEXED.search(text))


def _letters(text: str) -> str:
    return "".join(f"\\{_LETTERS[c]} " if c in _LETTERS else c for c in text)


def as_latex(text: str) -> str:
    """Return LaTeX of a formula in plain text: ``½‖w‖²`` as ``\\tfrac{1}{2}\\|w\\|^{2}``."""
    parts = []
    for token in _TOKEN.finditer(text.replace("\n", " ").replace(" theta)", "θ)")):
        kind, found = token.lastgroup, token[0]
        if token["script"]:
            inside = token["inside"]
            named = len(inside) > 2 and inside.isalpha() and inside.isascii()
            script = f"\\text{{{inside}}}" if named else _letters(inside)
            parts.append(f"{found[0]}{{{script}}}")
        elif kind == "brace":
            parts.append(f"\\{{{as_latex(found[1:-1])}\\}}")
        elif kind == "power":
            parts.append(f"10^{{{found[2:]}}}")
        elif kind == "function":
            parts.append(_FUNCTIONS[found] + " ")
        elif kind == "hat":
            parts.append(f"\\hat{{{_letters(found[0])}}}")
        elif kind == "scaled":
            parts.append("^{*}")
        elif kind == "relation":
            parts.append(_RELATIONS[found])
        elif kind == "raised":
            parts.append("^{" + "".join(_RAISED[c] for c in found) + "}")
        elif kind == "gap":
            parts.append("\\quad ")
        elif kind == "word":
            parts.append(f"\\text{{ {found} }}")
        elif found == "½":
            parts.append("\\tfrac{1}{2}")
        elif found == "‖":
            parts.append("\\|")
        elif found == "*":
            parts.append("\\cdot ")
        elif found == "√":
            parts.append("\\surd ")
        elif found in "%&$#":
            parts.append(f"\\{found}")
        else:
            parts.append(_letters(found))
    return "".join(parts).strip()


def _converted(span: re.Match[str]) -> str:
    text = span[2]
    if is_formula(text):
        latex = as_latex(text)
        try:
            convert(latex)
        except Exception:
            return f"``{text}``"
        return f":math:`{latex}`"
    return f"``{text}``"


def with_equations(text: str) -> str:
    """Return a docstring in which formulas between backticks are equations, and the rest code."""
    parts, end = [], 0
    for span in _SPAN.finditer(text):
        parts += [_plain(text[end : span.start()]), _converted(span)]
        end = span.end()
    return "".join([*parts, _plain(text[end:])])


def _plain(text: str) -> str:
    # A bar is an absolute value here, and never the start of a substitution.
    return text.replace("|", "\\|")


def _process(
    _app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    text = with_equations("\n".join(lines))
    # "loss: L." is a symbol, and not the fiftieth item of a list in Roman numerals.
    lines[:] = re.sub(r"^(\s*\w+: [A-Za-z])\.$", r"\1\\.", text, flags=re.MULTILINE).split("\n")


_ARRAY = "ndarray[tuple[Any, ...], dtype[float64]]"


def _shorten(
    _app: Any, _what: str, _name: str, _object: Any, _options: Any, signature: str, returns: str
) -> tuple[str | None, str | None]:
    """Name the aliases of types as the code does."""

    def short(text: str | None) -> str | None:
        if text is None:
            return None
        named = re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", text.replace(_ARRAY, "FloatArray"))
        return named.replace("~lexmargin.predictors.activations.", "")

    return short(signature), short(returns)


def setup(app: Any) -> dict[str, bool]:
    """Convert every docstring before anything else reads it."""
    app.connect("autodoc-process-docstring", _process, priority=100)
    app.connect("autodoc-process-signature", _shorten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
