"""Files, the wording of errors, a quiet start."""
