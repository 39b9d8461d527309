"""The helpers of the executable book *Learning Rates in Practice*.

Each module has one job; importing any of them is quick and changes nothing.
TensorFlow is imported by the functions that train, when they are called.

>>> import helpers
>>> helpers.BOOK
'learning-rates-in-practice'
"""

__version__ = "0.1.0"

BOOK = "learning-rates-in-practice"
"""The name of the distribution: PyPI has an unrelated package called `helpers`."""
