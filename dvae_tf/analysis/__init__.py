"""Properties of trained posteriors and priors (the paper's section 4.1.1), one command each."""
