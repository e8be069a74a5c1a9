"""How a certificate comes to its first word."""

from __future__ import annotations

from way_of_a_certificate import way


def test_the_word_of_first_order_is_near() -> None:
    # A study counted 40 modules and 150 returns for another certificate when there were six words;
    # since then commands stand in rooms of their own, which is one more on the way.
    found = way("xor")
    inside = [name for name in found.entered if name.startswith("judge/")]
    assert inside[-1].endswith("first_order.py")
    assert len(set(inside)) <= 10
    assert found.modules <= 41 and found.returns <= 145
