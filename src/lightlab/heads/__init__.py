"""The heads, a problem type a file; importing this registers them.

To add one: give the problem a row (`lightlab.problems.register_problem`), and register a subclass of
`lightlab.heads.base.Head` under the same name.
"""

from lightlab.heads import binary, bounded_regression, multiclass, multilabel, regression
from lightlab.heads.base import Head

__all__ = ["Head", "binary", "bounded_regression", "multiclass", "multilabel", "regression"]
