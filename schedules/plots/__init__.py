"""Curves to look at: SVG, PNG, an HTML page, the terminal.

Sees `analysis` and what that sees.
"""
