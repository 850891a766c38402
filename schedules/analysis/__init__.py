"""What a schedule's numbers tell before they train: the plan, its faults, and what mends them.

Sees `declaration`, `clock`, `moments`, `schedule`, `kinds` and `curve`.
"""
