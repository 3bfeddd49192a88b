r"""The paper's Fig. 3: error and spread of log Z against the number of AIS temperatures.

python -m dvae_tf.analysis.partition_function --export_dir=runs/mnist/saved_model \
    --dataset=binarized_mnist
"""

from dvae_tf.analysis import options

if __name__ == "__main__":
    options.run("dvae_tf.analysis.convergence_report", options.ComparisonSettings, num_images=4)
