"""Numbers as people read them."""

from __future__ import annotations

from fractions import Fraction


def value_text(number: float) -> str:
    """A value in few characters.

    >>> value_text(0.025), value_text(0.0001), value_text(7.5e-05), value_text(0.0)
    ('0.025', '1e-4', '7.5e-5', '0')
    >>> value_text(2.5e6)
    '2.5e6'
    """
    text = f"{number:.3e}" if 0 < abs(number) < 1e-3 else f"{number:.4g}"
    mantissa, e, exponent = text.partition("e")
    return f"{float(mantissa):g}e{int(exponent)}" if e else text


def count_text(number: float | Fraction) -> str:
    """A number of steps or epochs.

    >>> count_text(62500.0), count_text(2.5), count_text(4_000_000), count_text(Fraction(200, 3))
    ('62,500', '2.5', '4,000,000', '66.667')
    """
    return f"{float(number):,.3f}".rstrip("0").rstrip(".")
