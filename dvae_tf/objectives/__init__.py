"""Training objectives, by the name of the task."""

from __future__ import annotations

from dvae_tf.objectives.importance_weighted import importance_weighted, kl_weight
from dvae_tf.objectives.structured_prediction import entropy_weight, structured_prediction
from dvae_tf.objectives.terms import Task

TASKS = {
    "vae": Task(importance_weighted, kl_weight, has_prior=True),
    "structured_prediction": Task(structured_prediction, entropy_weight, has_prior=False),
}
