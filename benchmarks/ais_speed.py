"""Times AIS to a given standard error: one prior to 0.01, many posteriors to 0.05 each.

  python benchmarks/ais_speed.py --export_dir=runs/mnist/saved_model --images=binarized_mnist.npz

The prior and the posteriors of 1000 test images of a trained model; without one, random
RBMs stand in: 100+100 units, couplings of scale 0.3 (the prior) and 0.05 with biases of scale 3
(posteriors). The prior is annealed from the uniform distribution, the posteriors from their mean
fields, which count in the time. The last line is JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from absl import app, flags

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

flags.DEFINE_string("export_dir", None, "a trained model: the folder of its SavedModel")
flags.DEFINE_string("images", None, "an .npz with the array `test`, for that model")
flags.DEFINE_integer("prior_chains", 4000, "", lower_bound=2)
flags.DEFINE_integer("prior_temperatures", 1501, "", lower_bound=2)
flags.DEFINE_integer("posterior_chains", 64, "", lower_bound=2)
flags.DEFINE_integer("posterior_temperatures", 41, "", lower_bound=2)
FLAGS = flags.FLAGS


def trained() -> tuple[list, list]:
    """b1, b2 and w, or u and v, of the model's prior, and of its posteriors of 1000 images."""
    import tensorflow as tf

    model = tf.saved_model.load(FLAGS.export_dir).signatures
    with np.load(FLAGS.images) as file:
        order = np.random.default_rng(0).permutation(len(file["test"]))[:1000]
        images = tf.constant(file["test"][order], tf.float32)
    return tuple(
        [rbm[k].numpy() for k in ("b1", "b2", "w", "u", "v") if k in rbm]
        for rbm in (model["prior"](), model["encode"](x=images))
    )


def random(batch: tuple[int, ...], scale: float, biases: float) -> list:
    """b1, b2, w of random RBMs."""
    rng, n = np.random.default_rng(0), 100
    scales = ((biases, (n,)), (biases, (n,)), (scale, (n, n)))
    return [(s * rng.normal(size=(*batch, *shape))).astype(np.float32) for s, shape in scales]


def timed(params: list, base: str, num_temperatures: int, num_chains: int) -> dict:
    """One run of AIS, timed twice: with compilation and without."""
    import tensorflow as tf

    from sampler.annealing import ais, schedules
    from sampler.annealing import bridge as bridges
    from sampler.machines.rbm import RBM, LowRankRBM

    rbm = (RBM if len(params) == 3 else LowRankRBM)(*(tf.constant(p) for p in params))
    seconds = []
    for number in range(2):
        started = time.perf_counter()
        bridge = getattr(bridges, f"from_{base}")(rbm)
        betas = schedules.linear(num_temperatures)
        estimate = ais.run(bridge, betas, num_chains, number)
        stderr = np.ravel(estimate.stderr)
        seconds.append(round(time.perf_counter() - started, 2))
    return {
        "rbms": stderr.size,
        "stderr_median": float(f"{np.median(stderr):.3g}"),
        "stderr_max": float(f"{stderr.max():.3g}"),
        "least_ess": float(f"{np.min(estimate.ess):.3g}"),
        "warned": int(np.sum(~np.ravel(estimate.believable()))),
        "seconds": seconds[0],
        "seconds_compiled": seconds[1],
    }


def main(argv: list[str]) -> None:
    """Times both, prints."""
    del argv
    if FLAGS.export_dir:
        prior, posteriors = trained()
    else:
        prior, posteriors = random((), 0.3, 0.5), random((1000,), 0.05, 3.0)
    result = {
        "prior": timed(prior, "uniform", FLAGS.prior_temperatures, FLAGS.prior_chains),
        "posteriors": timed(
            posteriors, "mean_field", FLAGS.posterior_temperatures, FLAGS.posterior_chains
        ),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    app.run(main)
