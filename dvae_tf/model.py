"""The discrete VAE: encoder, posterior, prior and decoder wired together, and nothing else.

`dvae_tf.DVAE` adds to it what is done with a model: training, evaluation, files.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from dvae_tf import conditions, relaxations
from dvae_tf.conditions import Condition, Parts
from dvae_tf.likelihoods import Bernoulli, Likelihood
from dvae_tf.posteriors.posterior import Draws, Posterior
from dvae_tf.posteriors.undirected import RBMPosterior
from dvae_tf.priors.prior import Prior
from dvae_tf.priors.rbm import RBMPrior
from dvae_tf.registry import PLUGGED_IN, RELAXATIONS, TASKS
from dvae_tf.tasks import Task
from sampler.io.errors import expect, expect_number, expect_sizes, expect_whole, reason
from sampler.machines.machine import AnyMachine

DEFAULT: Any = object()
"""An argument that was not given, where None has a meaning."""


class Wiring(keras.Model):
    """p(x | z) p(z) with the posterior q(z | x); given a condition c, see `conditions.Condition`.

    Args:
      encoder: images [B, *shape] -> features [B, F]; any Keras model or layer.
      decoder: latents [B, n] -> the likelihood's parameters, [B, *shape] for most.
      num_latents: units of each block; one number is cut into halves.
      likelihood: default Bernoulli().
      posterior: default RBMPosterior().
      prior: default RBMPrior(); None where q(z | c) takes its place (structured prediction).
      condition: None, or what x is conditional on.
      image_shape: of x without the batch; needed where the encoder does not tell, and then only
        if the model is used before it has seen images.
      offset: whether what stands for the mean of the first training images (`Likelihood.offset`) is
        added to the decoder's outputs. A decoder that has to learn it first is worth nats less.
      seed: of the initial kernels of the posterior.

    Raises:
      ValueError: parts that do not fit one another; one line.
    """

    offset: Any = None

    def __init__(
        self,
        encoder: keras.Layer,
        decoder: keras.Layer,
        num_latents: int | Sequence[int],
        likelihood: Likelihood | None = None,
        posterior: Posterior | None = None,
        prior: Prior | None = DEFAULT,
        condition: Condition | None = None,
        image_shape: Sequence[int] | None = None,
        offset: bool = True,
        seed: int = 0,
        name: str = "dvae",
    ):
        super().__init__(name=name)
        self.num_latents, self.has_offset, self.seed = _blocks(num_latents), offset, seed
        self.likelihood = _part("likelihood", likelihood or Bernoulli(), Likelihood, "Bernoulli()")
        if condition is not None:
            _part("condition", condition, Condition, "Labels(10)")
        self.condition = condition
        self.encoder = _network("encoder", encoder)
        self.posterior = _new("posterior", posterior or RBMPosterior(), Posterior)
        self.has_prior = prior is not None
        if self.has_prior:
            self.prior = _new("prior", RBMPrior() if prior is DEFAULT else prior, Prior)
        elif condition is None or condition.units:
            kind = "LabelUnits" if condition else "a condition"
            how = "with" if condition else "without"
            raise ValueError(f"prior: found None; accepted {how} {kind}: a prior")
        halves = isinstance(condition, conditions.TopHalf)
        expect(not (halves and self.has_prior), "condition", "TopHalf()", "it with prior=None")
        units = condition.units if condition else 0
        self.prior_blocks = (*self.num_latents[:-1], self.num_latents[-1] + units)
        self.decoder = _network("decoder", decoder)
        self.task: Task = TASKS.load("vae" if self.has_prior else "structured_prediction")
        self.image_shape: tuple[int, ...] | None = None
        expect_whole(seed, "seed", 0)
        if image_shape is not None:
            expect_sizes(image_shape, "image_shape", "(28, 28, 1)")
            expect(len(image_shape), "image_shape", "none", "sizes, as (28, 28, 1)")
        self.set_relaxation("pwl")
        shape = _input_shape(encoder) if image_shape is None and self.has_prior else image_shape
        if shape is not None:
            self.create(tuple(shape))

    def create(self, image_shape: tuple[int, ...], name: str = "x") -> None:
        """Makes the variables, for images of this shape; a second time it only compares shapes.

        Args:
          name: of the argument that has the images, for messages.

        Raises:
          ValueError: networks, latents and images that do not fit one another.
        """
        if self.image_shape is not None:
            if self.image_shape != image_shape:
                raise ValueError(
                    f"{name}: found images of shape {image_shape}; accepted by this model: "
                    f"{self.image_shape}"
                )
            return
        parts = self.split(self._blank(image_shape))
        context = _called("encoder", self.encoder, parts.inputs)
        if len(context.shape) != 2:
            raise ValueError(
                f"encoder: found outputs of shape {tuple(context.shape[1:])} for an image; "
                "accepted: a vector of features (end it with keras.layers.Flatten())"
            )
        self.posterior.attach(self.num_latents, context.shape[-1], self.seed)
        self.posterior(context)
        total = sum(self.prior_blocks)
        if self.has_prior:
            self.prior.attach(self.prior_blocks)
            found = sum(self.prior.machine().sizes)
            if found != total:
                raise ValueError(
                    f"prior: found {found} units; accepted: the {total} latents of num_latents="
                    f"{self.prior_blocks}"
                )
        output_shape = self._check_decoder(parts, total)
        if self.has_offset:
            how: dict = {"initializer": "zeros", "trainable": False}
            self.offset = self.add_weight(name="offset", shape=output_shape, **how)
        self.image_shape = image_shape
        self.built = True

    def _blank(self, image_shape: tuple[int, ...]) -> Any:
        """A batch of one image of zeros, and of one condition where there is one."""
        x = tf.zeros([1, *image_shape])
        if self.condition is None or not self.takes_condition:
            return x
        c = [1] if isinstance(self.condition, conditions.Labels) else [1, *self.condition.shape]
        return x, tf.zeros(c)

    @property
    def wants_offset(self) -> bool:
        """Whether it has yet to be told of the training images' mean."""
        return self.offset is not None and not np.any(self.offset.numpy())

    def set_offset(self, data: Any) -> None:
        """Takes the mean of checked training images."""
        self.offset.assign(self.likelihood.offset(np.asarray(self.split(data).targets)))

    def _check_decoder(self, parts: Parts, total: int) -> tuple[int, ...]:
        """The shape of the decoder's outputs for an image."""
        inputs = getattr(self.decoder, "inputs", None)
        alone = inputs is not None and len(inputs) == 1
        self.decodes_given = parts.given is not None and not alone
        width = inputs[0].shape[-1] if inputs else None
        if width not in (None, total):
            raise ValueError(
                f"num_latents: found {self.prior_blocks}, {total} in all; accepted by the decoder: "
                f"{width}"
            )
        z = tf.zeros([1, total])
        outputs = _called("decoder", self.decoder, [z, parts.given] if self.decodes_given else z)
        shape = tuple(parts.targets.shape[1:])
        accepted = self.likelihood.output_shape(shape)
        if tuple(outputs.shape[1:]) != accepted:
            kind = type(self.likelihood).__name__
            raise ValueError(
                f"decoder: found outputs of shape {tuple(outputs.shape[1:])}; accepted: {accepted},"
                f" as the {kind} likelihood of images of shape {shape} takes"
            )
        return accepted

    def set_relaxation(self, name: str, sharpness: float | None = None) -> None:
        """How units are relaxed in training; without a sharpness, with the paper's.

        Raises:
          ValueError: an unknown name, one that this posterior can't use, or a sharpness of 0.
        """
        accepted = PLUGGED_IN if self.posterior.plugged_in else RELAXATIONS
        if not isinstance(name, str) or name not in accepted:
            raise ValueError(
                f"relaxation: found {name!r}; accepted with {type(self.posterior).__name__}: "
                f"{', '.join(sorted(accepted))}"
            )
        if sharpness is None:
            sharpness = relaxations.SHARPNESS[name.removesuffix("_stop_slope")]
        expect_number(sharpness, "sharpness", positive=True)
        self.relaxation = self.posterior.relaxation = relaxations.make(name, sharpness)

    @property
    def takes_condition(self) -> bool:
        """Whether data are pairs of images and conditions."""
        return not (self.condition is None or isinstance(self.condition, conditions.TopHalf))

    def split(self, data: Any) -> Parts:
        """What encoder, likelihood and decoder see of data: x, or (x, c)."""
        return conditions.split(self.condition, self.has_prior, data)

    def join(self, x: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Images [..., D] of which the decoder's part is `predicted`."""
        given = x.shape[-1] - predicted.shape[-1]
        return np.concatenate([x[..., :given], predicted], -1) if given else predicted

    def phi(self, inputs: Any, training: bool = False) -> Any:
        """The posterior's parameters for the encoder's inputs [B, ...]."""
        return self.posterior(self.encoder(inputs, training=training), training=training)

    def draw(
        self, inputs: Any, num_samples: int | tf.Tensor, betas: tf.Tensor, seed: tf.Tensor
    ) -> Draws:
        """Weighted hard samples of the posteriors of inputs [B, ...], for evaluation.

        Where units of the prior hold the condition, z is of them all.
        """
        draws = self.posterior.draw(self.phi(inputs), num_samples, betas, seed)
        given = inputs[-1] if isinstance(inputs, (list, tuple)) else None
        return draws._replace(z=conditions.held(self.condition, draws.z, given))

    def decode(
        self, z: tf.Tensor, given: tf.Tensor | None = None, training: bool = False
    ) -> tf.Tensor:
        """The likelihood's parameters [..., *shape] for z [..., n] (Bernoulli: logits).

        Args:
          given: of a conditional model, [B, *shape], for z [B, ..., n].
        """
        inputs = flat = tf.reshape(z, [-1, z.shape[-1]])
        if self.decodes_given and given is not None:
            copies = tf.shape(flat)[0] // tf.shape(given)[0]
            inputs = [flat, tf.repeat(given, copies, 0)]
        outputs = self.decoder(inputs, training=training)
        if self.offset is not None:
            outputs += self.offset.value
        shape = tf.concat([tf.shape(z)[:-1], tf.shape(outputs)[1:]], 0)
        result = tf.reshape(outputs, shape)
        return tf.ensure_shape(result, z.shape[:-1].concatenate(outputs.shape[1:]))

    def log_px(self, targets: tf.Tensor, outputs: tf.Tensor) -> tf.Tensor:
        """log p(x | z), [B, K], of targets [B, *shape] and outputs [B, K, ...]."""
        return self.likelihood.total(targets, outputs)

    def encoded(self, inputs: Any) -> dict[str, tf.Tensor] | None:
        """What the posterior shows of its parameters for the encoder's inputs; None if nothing."""
        return self.posterior.encode(self.phi(inputs))

    def regularisers(self) -> list[tf.Tensor]:
        """The penalties that the user's networks bring: their layers' regularizers."""
        return [*self.encoder.losses, *self.decoder.losses]

    @property
    def floats_per_state(self) -> int:
        """Numbers that decoding one state makes, about: those in the outputs of its layers."""
        shapes = [getattr(layer, "output", None) for layer in getattr(self.decoder, "layers", [])]
        known = [math.prod(t.shape[1:]) for t in shapes if t is not None]
        return max(sum(known), self.posterior.floats_per_state, 1)

    def prior_machine(self) -> AnyMachine:
        """The prior, without batch dimensions."""
        self.check_created()
        return self.prior.machine()

    def check_created(self) -> None:
        """Raises ValueError before `create`."""
        accepted = "one with image_shape=, or after fit"
        expect(self.image_shape is not None, "model", "one that has seen no images", accepted)


def _blocks(num_latents: int | Sequence[int]) -> tuple[int, ...]:
    """The blocks' sizes; ValueError unless there are units in each."""
    if isinstance(num_latents, (int, np.integer)):
        num_latents = num_latents // 2, num_latents - num_latents // 2
    expect_sizes(num_latents, "num_latents", "(100, 100), or their number, 2 or more")
    expect(len(num_latents), "num_latents", "none", "units of each block")
    return tuple(int(n) for n in num_latents)


def _network(name: str, network: Any) -> keras.Layer:
    if not isinstance(network, keras.Layer):
        raise ValueError(
            f"{name}: found {type(network).__name__}; accepted: a keras.Model or a layer"
        )
    return network


def _part(name: str, part: Any, kind: type, example: str) -> Any:
    expect(isinstance(part, kind), name, repr(part), f"a {kind.__name__}, as {example}")
    return part


def _new(name: str, part: Any, kind: type[keras.Layer]) -> Any:
    """A posterior or prior; ValueError for another thing, or for one that a model has already."""
    _part(name, part, kind, "RBMPosterior()" if kind is Posterior else "RBMPrior()")
    if part.variables:
        raise ValueError(f"{name}: found one that another model has; accepted: a new one")
    _check_dtypes(name, part, part.compute_dtype)
    return part


def _check_dtypes(name: str, network: keras.Layer, dtype: Any) -> None:
    """Raises ValueError unless a network has variables and outputs, of `dtype`, of 32 bits."""
    dtypes = [dtype, *(v.dtype for v in network.trainable_variables)]
    other = [str(tf.as_dtype(d).name) for d in dtypes if d != "float32"]
    accepted = "float32 (see keras.config.set_dtype_policy, and a layer's dtype=)"
    expect(not other, name, f"outputs or variables of type {', '.join(other[:1])}", accepted)


def _input_shape(encoder: keras.Layer) -> tuple[int, ...] | None:
    """The shape of an encoder's images, where it tells."""
    inputs = getattr(encoder, "inputs", None)
    shape = tuple(inputs[0].shape[1:]) if inputs else (None,)
    return None if None in shape else shape


def _called(name: str, network: keras.Layer, inputs: Any) -> tf.Tensor:
    """A network's outputs; ValueError, in one line, if it can't take its inputs."""
    known, count = getattr(network, "inputs", None), len(tf.nest.flatten(inputs))
    if known and len(known) != count:
        accepted = "2 in a conditional model, x and what it is conditional on" if count > 1 else "1"
        raise ValueError(f"{name}: found {len(known)} inputs; accepted: {accepted}")
    try:
        outputs = network(inputs)
    except Exception as error:  # Keras and TensorFlow raise a dozen types
        shapes = [tuple(t.shape[1:]) for t in tf.nest.flatten(inputs)]
        raise ValueError(
            f"{name}: can't take inputs of shape {', '.join(map(str, shapes))} ({reason(error)})"
        ) from error
    if not tf.is_tensor(outputs):
        raise ValueError(f"{name}: found {type(outputs).__name__} as outputs; accepted: a tensor")
    _check_dtypes(name, network, outputs.dtype)
    return outputs
