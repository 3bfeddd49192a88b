"""The NLL by annealing from the prior, without a posterior, beside the importance-weighted one.

python -m dvae_tf.analysis.from_prior --export_dir=runs/mnist/saved_model --dataset=binarized_mnist
"""

from dvae_tf.analysis import options

if __name__ == "__main__":
    options.run(
        "dvae_tf.analysis.from_prior_report",
        options.FromPriorSettings,
        num_images=100,
        loader=options.load_images,
    )
