"""Numbers that both the engines and the quote of their cost go by; each stands here alone."""

RECALIBRATION_ROWS = 8192
"""Training rows, from the first on, whose statistics stand for those of the training set; see docs/numerics.md."""

EVALUATION_FLOATS = 1_000_000
"""Most numbers in one activation tensor of an evaluation chunk: 4 MB, which keeps memory flat and caches warm."""

MOST_LANES = 4
"""Convolutional networks that one cohort trains at once: more would hold the activations of more trials than most
machines have memory for; larger machines give each lane more threads."""

LARGEST_RANK = 512
"""Weights whose smaller side exceeds this have no effective rank: the decomposition would cost too much."""
