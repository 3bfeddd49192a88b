"""Trained models back into Python."""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from dvae_tf.dvae import DVAE
from dvae_tf.export import KERAS_FILE, ExportedModel, ExportError
from sampler.io.errors import expand, expect


def load(
    folder: str | os.PathLike, custom_objects: Mapping[str, Any] | None = None
) -> DVAE | ExportedModel:
    """A model from a run's folder, an export, or a `.keras` file; no data set is needed.

    Of exports made by an older version, or of parts that this process can't import, there are the
    SavedModel's functions alone: an `ExportedModel`, with the same methods but for training.

    Args:
      custom_objects: the classes of one's own layers and parts, by name, as in Keras.

    Raises:
      ExportError: a ValueError of one line: no such folder, no model in it, or a damaged one.
    """
    path = expand("folder", folder)
    if path.is_file():
        return _read(path, custom_objects)
    candidates = [path, path / "saved_model"]
    for candidate in candidates:
        if (candidate / KERAS_FILE).is_file():
            return _read(candidate / KERAS_FILE, custom_objects)
    for candidate in candidates:
        if (candidate / "saved_model.pb").is_file():
            return ExportedModel(candidate)
    what = "an unfinished run" if (path / "config.json").is_file() else "no model"
    raise ExportError(
        f"{path}: found {what}; accepted: the folder of a finished run, an export, a .keras file"
    )


def _read(path: Path, custom_objects: Mapping[str, Any] | None) -> DVAE:
    is_archive = zipfile.is_zipfile(path)
    expect(is_archive, str(path), "no model, or a truncated one", "a .keras file", ExportError)
    try:
        model = keras.models.load_model(path, custom_objects=custom_objects)
    except Exception as error:  # Keras raises a dozen types on damaged files
        text = " ".join(str(error).split())[:300]
        raise ExportError(f"{path}: not a readable model ({text})") from error
    if not isinstance(model, DVAE):
        raise ExportError(f"{path}: found a {type(model).__name__}; accepted: a dvae_tf.DVAE")
    return model
