"""Mitigation strategies side by side: the same circuits, the same budget, values with error bars and costs."""
