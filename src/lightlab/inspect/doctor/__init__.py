"""The doctor: from a run's curves, gradients and data a verdict in words, and what to try next."""

from __future__ import annotations

from lightlab.inspect.doctor.diagnosis import Diagnosis, Finding
from lightlab.inspect.doctor.doctor import diagnose

__all__ = ["Diagnosis", "Finding", "diagnose"]
