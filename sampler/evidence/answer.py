"""What `sampler.log_z` answers."""

from typing import NamedTuple

from sampler.weights.estimates import Samples


class LogZ(NamedTuple):
    """log Z with what speaks for it and against it; floats, for a machine without batch dimensions.

    Attributes:
      log_z, stderr: the estimate, in nats.
      lower, upper: the estimate less three standard errors, and what backward runs from its samples
        give plus three; both contain the estimate.
      ess: effective number of chains.
      samples: weighted samples of the target.
      bases: for each base, by name, what it said of the whole log Z, and its standard error.
      bound: the best rigorous lower bound: of mean field, and of the states seen.
      method: what gave the answer: "exact", "elimination" or "annealing".
      found: warnings; empty when nothing speaks against the answer.
    """

    log_z: float
    stderr: float
    lower: float
    upper: float
    ess: float
    samples: Samples | None
    bases: dict[str, tuple[float, float]]
    bound: float
    method: str
    found: list[str]

    def warnings(self) -> list[str]:
        """What speaks against the answer; empty when nothing does."""
        return self.found
