"""Weighted samples: effective size, resampling, estimates of log Z."""
