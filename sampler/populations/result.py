"""What population annealing answers: log Z with its error, weighted samples, and their trace."""

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from sampler import modes
from sampler.machines.machine import AnyMachine
from sampler.weights.estimates import Samples

CHAINS_PER_RHO = 100
"""Chains for each unit of rho_t from which a population is trusted (Wang et al. 2015)."""

LEAST_SHARE = 0.1
"""Effective size, as a fraction of the population, below which a temperature step is too long."""

LARGEST_STDERR = 0.3
"""Standard error of log Z above which the delta method, and so the error, is not believed."""


class Trace(NamedTuple):
    """A run's course over its T temperatures; NumPy, [...] the machines' batch shape, R runs.

    Attributes:
      betas: float64, [T].
      log_z: of each run, float64, [T, ..., R].
      mean_energy: weighted mean over each run of the energy conjugate to beta, E_target - E_base
        (the bridge interpolates fields and couplings linearly), so that d log Z / d beta is its
        negative; float64, [T, ..., R].
      energy_variance: of the same, about each run's mean, [T, ..., R].
      ess: effective number of chains, before resampling, [T, ..., R].
      rho_t: mean-square family size C sum f^2, f the families' shares of weight: 1 for equal and
        distinct families, C when one has all, [T, ..., R].
      num_families: families that have descendants, [T, ..., R].
      resampled: 1 where the population was resampled, [T, ..., R].
      energies: the chains' own energies, float32, [T, ..., R, C]; or None.
      log_weights: theirs, those of each run with mean Z, float64, [T, ..., R, C]; or None.
    """

    betas: np.ndarray
    log_z: np.ndarray
    mean_energy: np.ndarray
    energy_variance: np.ndarray
    ess: np.ndarray
    rho_t: np.ndarray
    num_families: np.ndarray
    resampled: np.ndarray
    energies: np.ndarray | None = None
    log_weights: np.ndarray | None = None


class Result(NamedTuple):
    """Population annealing of machines of batch shape [...] in R independent runs of C chains.

    Attributes:
      log_z: log of the runs' mean estimate of Z, float64, [...]; E[exp(log_z)] = Z for a schedule
        fixed in advance.
      stderr: its standard error, from the spread of the R runs (so Student's t with R - 1 degrees
        of freedom tells its own error), and not below float32's rounding; float64, [...].
      run_log_z: each run's estimate, float64, [..., R].
      samples: all R C chains, run by run, as weighted samples of the target, each run with weight
        proportional to its estimate of Z; the mean weight is exp(log_z).
      trace: the runs' course.
      target: the machines, against which `warnings` holds log Z.
    """

    log_z: np.ndarray
    stderr: np.ndarray
    run_log_z: np.ndarray
    samples: Samples
    trace: Trace
    target: AnyMachine | None = None

    @property
    def rho_t(self) -> np.ndarray:
        """The largest mean-square family size on the way, averaged over runs, [...]."""
        return self.trace.rho_t.mean(-1).max(0)

    @property
    def ess(self) -> np.ndarray:
        """The smallest effective number of a run's chains on the way, averaged over runs, [...]."""
        return self.trace.ess.mean(-1).min(0)

    def doubts(self) -> dict[str, np.ndarray]:
        """Where a result is not to be believed, bool [...], by the reason."""
        num_chains = self.samples.log_weights.shape[-1] // self.run_log_z.shape[-1]
        rho_t, ess = np.max(self.rho_t), np.min(self.ess)
        small = (
            f"population too small: rho_t reaches {rho_t:.3g}, which asks for num_chains of "
            f"{CHAINS_PER_RHO * rho_t:.0f}, found {num_chains} (or more sweeps)"
        )
        long = (
            f"temperature steps too long: the effective size falls to {ess:.3g} of {num_chains} "
            "chains (use more temperatures)"
        )
        apart = (
            f"runs disagree: standard error {np.max(self.stderr):.2g} of log Z; it is believed "
            f"up to {LARGEST_STDERR}"
        )
        return {
            small: CHAINS_PER_RHO * self.rho_t > num_chains,
            long: self.ess < LEAST_SHARE * num_chains,
            apart: self.stderr > LARGEST_STDERR,
        }

    def warnings(self) -> list[str]:
        """Reasons not to believe the result, each with the machines that it holds for; or none.

        Among them proven bounds that log Z is below, which take a second or so.
        """
        found = [
            message + (f"; {np.sum(where)} of {where.size} machines" if where.ndim else "")
            for message, where in self.doubts().items()
            if np.any(where)
        ]
        if self.target is None:
            return found
        seen = self.samples.state
        return found + modes.contradictions(self.target, self.log_z, self.stderr, seen)

    def mean(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weighted mean over all runs and its standard error from the runs' spread.

        Args:
          values: an observable of each chain of `samples`, [..., R C, *event].

        Returns:
          Mean and standard error, float64, [..., *event].
        """
        num_runs, axis = self.run_log_z.shape[-1], self.log_z.ndim
        weights = self.samples.weights().numpy()
        values = np.asarray(values, np.float64)
        weights = weights.reshape(weights.shape + (1,) * (values.ndim - weights.ndim))
        mean = np.sum(weights * values, axis, keepdims=True)
        # a ratio of sums over runs: its error is that of the sum of w (value - mean)
        errors = weights * (values - mean)
        shape = (*errors.shape[:axis], num_runs, -1, *errors.shape[axis + 1 :])
        errors = errors.reshape(shape).sum(axis + 1)
        variance = np.sum(errors**2, axis) * num_runs / (num_runs - 1)
        return mean.squeeze(axis), np.sqrt(variance)


def log_mean(run_log_z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log of the mean of R independent estimates of Z [..., R], and its standard error.

    By the delta method: the relative standard error of the mean, from the runs' sample variance.
    """
    num_runs = run_log_z.shape[-1]
    log_z = logsumexp(run_log_z, -1) - np.log(num_runs)
    return log_z, np.exp(run_log_z - log_z[..., None]).std(-1, ddof=1) / np.sqrt(num_runs)
