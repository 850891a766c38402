"""Numbers as people read them."""

from __future__ import annotations

from fractions import Fraction


def written(number: float) -> str:
    """A value in few characters.

    >>> written(0.025), written(0.0001), written(7.5e-05), written(0.0), written(2.5e6)
    ('0.025', '1e-4', '7.5e-5', '0', '2.5e6')
    """
    text = f"{number:.3e}" if 0 < abs(number) < 1e-3 else f"{number:.4g}"
    mantissa, e, exponent = text.partition("e")
    return f"{float(mantissa):g}e{int(exponent)}" if e else text


def counted(number: float | Fraction) -> str:
    """A number of steps or epochs.

    >>> counted(62500.0), counted(2.5), counted(4_000_000), counted(Fraction(200, 3))
    ('62,500', '2.5', '4,000,000', '66.667')
    """
    return f"{float(number):,.3f}".rstrip("0").rstrip(".")
