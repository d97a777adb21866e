"""Recommendations and references that several activations share."""

from services.science.activations.base import Recommendation

GLOROT_2010 = "Glorot & Bengio 2010, Understanding the difficulty of training deep feedforward neural networks"
HE_2015 = "He, Zhang, Ren & Sun 2015, Delving deep into rectifiers"
LECUN_1998 = "LeCun, Bottou, Orr & Mueller 1998, Efficient BackProp"
RAMACHANDRAN_2017 = "Ramachandran, Zoph & Le 2017, Searching for activation functions"
SHAZEER_2020 = "Shazeer 2020, GLU variants improve transformer"
BA_2016 = "Ba, Kiros & Hinton 2016, Layer normalization"

HE_UNIFORM = Recommendation("he_uniform", "sigma_w^2 = 2 keeps the second moment of every layer", f"{HE_2015}, eq. 10")
HE_NORMAL = Recommendation("he_normal", "the same variance with a (truncated) normal shape", f"{HE_2015}, eq. 10")
NEAR_HE = Recommendation("he_normal", "close to relu, so sigma_w^2 = 2 is close to preserving", f"{HE_2015}, eq. 10")
GLOROT_UNIFORM = Recommendation(
    "glorot_uniform",
    "unit slope at the origin, so sigma_w^2 = 1 is critical for small signals",
    f"{GLOROT_2010}, eq. 16",
)
GLOROT_NORMAL = Recommendation(
    "glorot_normal", "the same variance with a (truncated) normal shape", f"{GLOROT_2010}, eq. 16"
)
LECUN_NORMAL = Recommendation(
    "lecun_normal", "sigma_w^2 = 1 keeps pre-activations of order one", f"{LECUN_1998}, eq. 16"
)
CRITICAL = Recommendation(
    "critical",
    "signals and gradients reach the greatest depth on the edge of chaos",
    "Schoenholz, Gilmer, Ganguli & Sohl-Dickstein 2017, Deep information propagation",
)
SMALL_START = Recommendation(
    "torch_default",
    "a third of lecun_normal's variance: of degree two, a layer squares how far a row is from the usual scale, so no "
    "scale of the weights is stable and a small one errs towards fading instead of overflowing; from the second "
    "hidden layer on it takes layer_norm too, and with it learned best of four initializers on digits",
    f"{BA_2016}; docs/catalogue.md, activations of degree two",
)
UNSTABLE = Recommendation(
    "gain_matched",
    "keeps the mean of the second moment at 1, not each row's: for one hidden layer, or with layer_norm",
    "He et al. 2015, section 2.2, with the activation's own Gaussian moment",
)
PRESERVING = Recommendation(
    "gain_matched",
    "keeps the second moment of every layer at 1, whatever the activation's shape",
    "He et al. 2015, section 2.2, with the activation's own Gaussian moment",
)
