"""Trains, evaluates and exports a DVAE## (discrete VAE with RBM prior and RBM posterior).

  python run_dvae.py                                        the embedded digits, in minutes
  python run_dvae.py --dataset=binarized_mnist --log_dir=runs/mnist

The same command resumes an interrupted run. On a finished one, other flags of evaluation test it
again, and more --num_steps go on where the schedule allows. A flag that is not given takes the
dataset's own default, or the paper's; the configuration is printed and saved as config.json.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from absl import flags, logging

from dvae_tf import cli, config, data, run_folder

cli.prepare()
logging.set_verbosity(logging.WARNING)

cli.group("Data and folders")
flags.DEFINE_string(
    "dataset", "digits", f"images: {', '.join(data.DATASETS)}, or a path to an .npz or .npy file"
)
cli.define_path("data_dir", "data", "folder of the datasets' files; missing ones go there")
# absl's logging has a flag of this name, for its own files, which this program does not write
cli.define_path("log_dir", None, "folder of the run (default: runs/DATASET)", allow_override=True)
cli.define_path("init_from", None, "folder of a run whose trained model a new run starts from")

GROUPS = {
    "Model": {
        "task": "vae: a model of images; structured_prediction: of their rest given the top half",
        "posterior": "q(z|x): undirected, an RBM; directed, in groups; auxiliary, some summed out; "
        "harmonium, two kinds of units; rbm_groups, directed groups of RBMs",
        "num_layers": "groups of units of a directed posterior (L in the paper)",
        "shared_context": "whether the groups of a directed posterior share hidden layers",
        "prior": "p(z): an RBM, a harmonium, or a patch of an annealer's graph",
        "num_latents": "latent units in all; 200 means an RBM of 100 and 100",
        "num_latents_1": "latent units on the first side of the RBMs; 0: half of them",
        "families": "kinds of a harmonium's two blocks: binary, gaussian, potts3, potts4, ...",
        "num_auxiliary": "units h of an auxiliary posterior, which are summed out",
        "coupling_rank": "rank of the posterior's couplings; 0: full",
        "coupling_scale": "scale of the posterior's couplings; 0: independent units",
        "relaxation": "of binary latents, through which the gradient flows",
        "sharpness": "sharpness of the relaxation",
    },
    "Objective and sampling": {
        "num_samples": "samples of each image in the bound (K in the paper)",
        "bound": "importance_weighted: one of K samples; variational: mean of K of one sample",
        "iw_gradient": "estimator of the importance-weighted bound's gradient",
        "posterior_sweeps": "hard Gibbs sweeps of each image's chain (s in the paper)",
        "relaxed_sweeps": "relaxed Gibbs sweeps that carry the gradient (t in the paper)",
        "prior_sampler": "samples of the prior by pa, population annealing, or pcd, plain chains",
        "prior_chains": "number of samples of the prior",
        "prior_sweeps": "Gibbs sweeps of the prior's samples in each step",
    },
    "Training": {
        "num_steps": "training steps; schedules are fractions of them",
        "batch_size": "images in each step",
        "learning_rate": "base rate of Adam, which the schedule scales",
        "schedule": "of the learning rate: paper, by steps; linear, constant and then to 0",
        "constant_rate": "fraction of the run before the linear schedule falls",
        "adam_epsilon": "epsilon of Adam",
        "kl_warmup": "fraction of the run over which the weight of the KL rises to 1",
        "weight_decay": "L2 penalty on kernels, batch-norm scales and the prior's couplings",
        "seed": "seed of everything random",
        "checkpoint_every": "steps between checkpoints",
        "strategy": "mirrored: all local devices; multi_worker: the workers of TF_CONFIG",
    },
    "Evaluation": {
        "eval_every": "steps between validations; the best model by them is tested",
        "valid_samples": "importance samples of each image in a validation",
        "eval_samples": "importance samples of each image in the final test",
        "num_temperatures": "AIS temperatures of each posterior in evaluations; 0: as many as pay",
        "prior_temperatures": "AIS temperatures of the prior's log Z in evaluations, each way",
    },
}
"""Flags that are fields of the configuration, with their help."""

DEFINERS: dict[type, Any] = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}

for title, texts in GROUPS.items():
    cli.group(title)
    for name, text in texts.items():
        if name in config.CHOICES:
            flags.DEFINE_enum(name, None, config.CHOICES[name], text)
        else:
            DEFINERS[type(getattr(config.Config, name))](name, None, text)
cli.group("This call")
flags.DEFINE_enum("recipe", "paper", list(config.RECIPES), "settings of the training by name")
flags.DEFINE_float(
    "max_seconds", float("inf"), "seconds to train; then a checkpoint ends the program"
)
FLAGS = flags.FLAGS


def main(argv: list[str]) -> None:
    """Flags to configuration, one call, and where to look; all but that without TensorFlow."""
    del argv
    given: dict[str, Any] = {name: FLAGS[name].value for name in config.FIELDS}
    settings = config.resolve(recipe=FLAGS.recipe, **given)
    log_dir = FLAGS.log_dir or Path(f"runs/{Path(settings.dataset).stem}")
    dataset = data.load(settings.dataset, FLAGS.data_dir)
    settings = run_folder.with_origins(settings, dataset.fingerprints, log_dir, FLAGS.init_from)
    run_folder.check(log_dir, settings)
    print(settings.to_json(), end="", flush=True)
    cli.load("dvae_tf.experiment")
    from dvae_tf import experiment

    metrics = experiment.run(settings, dataset, log_dir, FLAGS.max_seconds, FLAGS.init_from)
    if metrics:
        print(experiment.report(metrics, log_dir))


def command() -> None:
    """The program, also as an installed command."""
    cli.run(main, tensorflow=False, defaults=config.default_texts())


if __name__ == "__main__":
    command()
