"""Truth tables: every operator, precedence, and the texts that are refused."""

import itertools

import pytest

from hw.errors import BadInput
from synth.gate.logic import columns, table


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("!A", lambda a, b, c: not a),
        ("A'", lambda a, b, c: not a),
        ("A*B+C", lambda a, b, c: (a and b) or c),
        ("A&B|C", lambda a, b, c: (a and b) or c),
        ("C + A B", lambda a, b, c: (a and b) or c),
        ("A*B^C", lambda a, b, c: a and (b != c)),  # Liberty: ^ binds tighter than *
        ("!A^B", lambda a, b, c: (not a) != b),
        ("(A+B)'", lambda a, b, c: not (a or b)),
        ("!(A * !B) (C)", lambda a, b, c: (not (a and not b)) and c),
        ("A !B C", lambda a, b, c: a and not b and c),
        ("1", lambda a, b, c: True),
        ("0 + A", lambda a, b, c: a),
    ],
)
def test_every_operator(text, wanted):
    got = table(text, ("A", "B", "C"))
    for state, (c, b, a) in enumerate(itertools.product((False, True), repeat=3)):
        assert got >> state & 1 == wanted(a, b, c), (text, state)
    assert got < 1 << 8


def test_columns_are_the_bits_of_the_index():
    for j, column in enumerate(columns(5)):
        assert [column >> i & 1 for i in range(32)] == [i >> j & 1 for i in range(32)]


def test_no_inputs():
    assert table("1", ()) == 1
    assert table("0", ()) == 0


@pytest.mark.parametrize("text", ["A +", "(A", "A == B", "", "!", "A ** B"])
def test_text_that_is_no_expression_is_refused(text):
    with pytest.raises(BadInput, match="wanted a Boolean expression"):
        table(text, ("A", "B"))


def test_unknown_pin_is_refused():
    with pytest.raises(BadInput, match=r"'A \* D' names 'D', which is none of the pins A B"):
        table("A * D", ("A", "B"))


def test_too_many_inputs_are_refused():
    with pytest.raises(BadInput, match="at most 16 inputs, got 17"):
        table("1", [f"i{k}" for k in range(17)])
