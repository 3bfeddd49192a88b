"""Trains, evaluates and exports a DVAE## (discrete VAE with RBM prior and RBM posterior).

  python run_dvae.py                                        the embedded digits, in minutes
  python run_dvae.py --dataset=binarized_mnist --log_dir=runs/mnist

The same command goes on with an interrupted run. A flag that is not given takes the dataset's own
default, or the paper's; the resolved configuration is printed and saved as config.json.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from absl import flags, logging

from dvae_tf import cli, config

cli.prepare()
logging.set_verbosity(logging.WARNING)

flags.DEFINE_string("dataset", "digits", "digits, binarized_mnist, omniglot, or a path to an .npz")
flags.DEFINE_string("data_dir", "data", "folder of the datasets' files; missing ones go there")
# absl's logging has a flag of this name, for its own files, which this program does not write
flags.DEFINE_string("log_dir", None, "folder of the run (runs/<dataset>)", allow_override=True)
flags.DEFINE_enum("task", None, config.CHOICES["task"], "of images, or of the rest given the top")
flags.DEFINE_enum("posterior", None, config.CHOICES["posterior"], "q(z|x): an RBM, or groups")
flags.DEFINE_enum("prior", None, config.CHOICES["prior"], "p(z)")
flags.DEFINE_integer("num_layers", None, "L, groups of a directed posterior")
flags.DEFINE_bool("shared_context", None, "whether its groups share the encoder's hidden layers")
flags.DEFINE_integer("num_samples", None, "K, samples per image of the bound")
flags.DEFINE_enum(
    "bound", None, config.CHOICES["bound"], "of K samples, or the mean of K bounds of one sample"
)
flags.DEFINE_enum("iw_gradient", None, config.CHOICES["iw_gradient"], "of the former")
flags.DEFINE_enum("relaxation", None, config.CHOICES["relaxation"], "of binary units")
flags.DEFINE_float("sharpness", None, "of the relaxation (pwl: 4, omniglot 3; concrete: 10)")
flags.DEFINE_integer("num_latents", None, "latent units in all; 200 means 100+100")
flags.DEFINE_integer("num_latents_1", None, "of these, on the first side (0: half)")
flags.DEFINE_integer("num_auxiliary", None, "units h of an auxiliary posterior, summed out")
flags.DEFINE_integer("coupling_rank", None, "of the posterior's couplings; 0: full")
flags.DEFINE_float("coupling_scale", None, "of the posterior's couplings; 0: independent units")
flags.DEFINE_integer("posterior_sweeps", None, "s, hard Gibbs sweeps of each image's chain")
flags.DEFINE_integer("relaxed_sweeps", None, "t, relaxed sweeps that carry the gradient")
flags.DEFINE_enum(
    "prior_sampler", None, config.CHOICES["prior_sampler"], "population annealing or plain chains"
)
flags.DEFINE_integer("prior_chains", None, "samples of the prior")
flags.DEFINE_integer("prior_sweeps", None, "Gibbs sweeps of the prior's samples per step")
flags.DEFINE_enum("recipe", "paper", list(config.RECIPES), "settings of the training")
flags.DEFINE_integer("num_steps", None, "training steps; schedules are fractions of it")
flags.DEFINE_integer("batch_size", None, "images per step")
flags.DEFINE_float("learning_rate", None, "base rate of Adam; the schedule scales it")
flags.DEFINE_enum(
    "schedule", None, config.CHOICES["schedule"], "of the rate: the paper's steps, or linearly to 0"
)
flags.DEFINE_float("constant_rate", None, "fraction of the run before the linear schedule falls")
flags.DEFINE_float("adam_epsilon", None, "epsilon of Adam")
flags.DEFINE_float("kl_warmup", None, "fraction of the run over which the KL weight rises to 1")
flags.DEFINE_float(
    "weight_decay", None, "L2 penalty on kernels, batch-norm scales, prior couplings"
)
flags.DEFINE_integer("seed", None, "of everything random")
flags.DEFINE_integer("eval_every", None, "steps between validations; the best model is tested")
flags.DEFINE_integer("valid_samples", None, "importance samples per image in a validation")
flags.DEFINE_integer("eval_samples", None, "importance samples per image in the final test")
flags.DEFINE_integer("num_temperatures", None, "AIS temperatures of each posterior")
flags.DEFINE_integer("prior_temperatures", None, "AIS temperatures of the prior, each way")
flags.DEFINE_integer("checkpoint_every", None, "steps between checkpoints")
flags.DEFINE_enum(
    "strategy", None, config.CHOICES["strategy"], "all local devices, or the workers of TF_CONFIG"
)
flags.DEFINE_float("max_seconds", float("inf"), "of training; then a checkpoint ends the program")
FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Flags to configuration, one call, and where to look."""
    del argv
    from dvae_tf import experiment

    given: dict[str, Any] = {name: FLAGS[name].value for name in config.FIELDS}
    settings = config.resolve(recipe=FLAGS.recipe, **given)
    log_dir = Path(FLAGS.log_dir or f"runs/{Path(settings.dataset).stem}")
    print(settings.to_json(), end="", flush=True)
    metrics = experiment.run(settings, Path(FLAGS.data_dir), log_dir, FLAGS.max_seconds)
    if metrics:
        print(experiment.report(metrics, log_dir))


def command() -> None:
    """The program, also as an installed command."""
    cli.run(main, "dvae_tf.experiment")


if __name__ == "__main__":
    command()
