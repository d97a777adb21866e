from services.catalogue.advice import recommendations


def test_what_theory_took_seconds_for_is_kept() -> None:
    assert recommendations("regression", 7, "tanh") is recommendations("regression", 7, "tanh")
    assert recommendations("regression", 7, "tanh") != recommendations("regression", 7, "relu")
