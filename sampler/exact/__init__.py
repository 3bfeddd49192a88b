"""Exact answers, in float64: log Z, moments, samples."""

from sampler.exact.enumeration import (
    MAX_UNITS,
    Moments,
    log_prob,
    log_z,
    moments,
    num_states,
    sample,
)

__all__ = ["MAX_UNITS", "Moments", "log_prob", "log_z", "moments", "num_states", "sample"]
