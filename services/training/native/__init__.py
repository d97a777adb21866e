"""A cohort of small multilayer perceptrons trained by compiled code: each thread takes one network after another."""
