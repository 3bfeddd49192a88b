"""log Z of trained priors: by AIS from several bases, and by `sampler.log_z` over seeds.

  python benchmarks/log_z_trained.py --seeds=5 runs/mnist/saved_model

The arguments are folders of SavedModels whose prior is an RBM. AIS from a base sends 2,000 chains
along 1,501 temperatures; the bases are independent estimates of one number, which should agree
within their errors, or a warning says why not. The last line is JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from absl import app, flags

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

flags.DEFINE_integer("seeds", 5, "of `sampler.log_z`, from 0 on", lower_bound=0)
FLAGS = flags.FLAGS

NUM_TEMPERATURES, NUM_CHAINS = 1501, 2000


def by_bases(machine) -> dict:
    """What AIS says from the uniform base, the fields, and the best mean-field mode."""
    from sampler.annealing import ais, bridge, schedules
    from sampler.evidence import bases

    makers = {
        "uniform": bridge.from_uniform,
        "fields": bridge.from_fields,
        "mean_field": bases.from_best_mode,
    }
    betas, said = schedules.linear(NUM_TEMPERATURES), {}
    for seed, (name, make) in enumerate(makers.items()):
        found = ais.run(make(machine), betas, NUM_CHAINS, seed)
        values = {"log_z": found.log_z, "stderr": found.stderr, "ess": found.ess}
        said[name] = {key: float(x) for key, x in values.items()} | {"warnings": found.warnings()}
    return said


def by_default(machine, seed: int) -> dict:
    """What `sampler.log_z` says."""
    import sampler

    start = time.perf_counter()
    found = sampler.log_z(machine, seed)
    values = {key: getattr(found, key) for key in ("log_z", "stderr", "lower", "upper")}
    seconds = round(time.perf_counter() - start, 1)
    return values | {"seconds": seconds, "warnings": found.warnings()}


def main(argv: list[str]) -> None:
    """A line for each base and seed."""
    import tensorflow as tf

    import sampler

    if len(argv) < 2:
        sys.exit("found no folder; accepted: folders of SavedModels")
    answers = {}
    for folder in argv[1:]:
        prior = tf.saved_model.load(folder).signatures["prior"]()
        machine = sampler.RBM(*(prior[name] for name in ("b1", "b2", "w"))).cast()
        said = by_bases(machine)
        said |= {f"seed {seed}": by_default(machine, seed) for seed in range(FLAGS.seeds)}
        for name, values in said.items():
            print(folder, name, values, file=sys.stderr, flush=True)
        answers[folder] = said
    print(json.dumps(answers))


if __name__ == "__main__":
    app.run(main)
