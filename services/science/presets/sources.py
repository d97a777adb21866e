"""The documents and papers that presets put to the test."""

DIAMONDS_DOCUMENT = (
    "Z. Warnes, Weight Initialization and Activation Functions in Deep Learning, Towards Data Science, 2021"
)
CATALOGUE_DOCUMENT = (
    "hope_wisdom, Deep learning notes (2): activation functions and parameter initialization (in Chinese), CSDN"
)
SYMMETRY_DOCUMENT = (
    "Notes on weight initialization: zeros, random, Xavier, He and batch normalization (in Chinese), after the "
    "deeplearning.ai exercise and the figures of Stanford's CS231n"
)
CIFAR_DOCUMENT = "Weight Initialization for Neural Networks: Does it matter?, Towards Data Science, 2021"
GLOROT_2010 = "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks"
HE_2015 = "He, Zhang, Ren & Sun 2015, Delving deep into rectifiers"
LECUN_1998 = "LeCun, Bottou, Orr & Mueller 1998, Efficient BackProp"
KLAMBAUER_2017 = "Klambauer, Unterthiner, Mayr & Hochreiter 2017, Self-normalizing neural networks"
IOFFE_2015 = "Ioffe & Szegedy 2015, Batch normalization"
