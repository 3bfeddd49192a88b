"""The model that the command line's flags describe."""

from __future__ import annotations

import numpy as np

from dvae_tf import networks
from dvae_tf.conditions import TopHalf
from dvae_tf.config import Config, ConfigError
from dvae_tf.dvae import DVAE
from dvae_tf.registry import POSTERIORS, PRIORS, TASKS
from dvae_tf.training.schedules import warmup
from dvae_tf.training.step import new_optimizer


def new_model(config: Config, pixel_mean: np.ndarray) -> DVAE:
    """The paper's fully connected networks, and the configuration's posterior and prior, compiled.

    Args:
      config: the run's configuration.
      pixel_mean: mean of the training images, [D]. The encoder sees pixels minus it, and the
        decoder's logits add that of the mean clipped to [.001, .999].

    Raises:
      ConfigError: structured prediction of images too small to have two halves.
    """
    has_prior, size = TASKS.load(config.task).has_prior, len(pixel_mean)
    half = 0 if has_prior else size // 2
    if not has_prior and not half:
        raise ConfigError(
            f"--task={config.task}: found images of {size} pixel, accepted is 2 or more, so that "
            "there are some to give and some to predict"
        )
    hidden, seen = config.hidden_units, pixel_mean if has_prior else pixel_mean[:half]
    model = DVAE(
        networks.encoder(hidden if config.shared_context else (), seen, config.seed),
        networks.decoder(hidden, pixel_mean[half:], config.seed),
        config.sides,
        posterior=POSTERIORS.load(config.posterior).of_run(config),
        prior=PRIORS.load(config.prior).of_run(config) if has_prior else None,
        condition=None if has_prior else TopHalf(),
        image_shape=(size,),
        offset=False,  # the decoder has it
        seed=config.seed,
    )
    model.compile(
        new_optimizer(config),
        kl_warmup=warmup(config),
        relaxation=config.relaxation,
        sharpness=config.sharpness,
        valid_samples=min(config.valid_samples, config.eval_samples),
        **{
            name: getattr(config, name)
            for name in (
                "num_samples",
                "bound",
                "iw_gradient",
                "weight_decay",
                "seed",
                "num_temperatures",
                "prior_temperatures",
            )
        },
    )
    return model
