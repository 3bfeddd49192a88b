"""What trained posteriors and priors are like (the paper's section 4.1.1), one command each."""
