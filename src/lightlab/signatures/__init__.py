"""What a component takes: its parameters with their types, defaults and descriptions.

Of what is imported, Python itself tells (`signature.signature_of`). What would be too heavy to import for a question,
such as the Trainer, and what nobody should import because a config names it, is read as text (`source`).
"""

from lightlab.signatures.signature import REQUIRED, Parameter, Signature, signature_of
from lightlab.signatures.source import Code, read_signature

__all__ = ["Code", "REQUIRED", "Parameter", "Signature", "read_signature", "signature_of"]
