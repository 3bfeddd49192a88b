"""Training: one step, its state, the loop, checkpoints and summaries."""
