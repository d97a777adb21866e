"""Firstlight's Python client: talk to the service over HTTP.

Example:
    with Client("http://127.0.0.1:8000") as client:
        experiment = client.submit({"dataset": "digits", "activation": ["relu", "tanh"],
                                    "initializer": ["he_uniform", "glorot_uniform"], "epochs": 10, "seeds": 5})
        client.wait(experiment["id"])
        print(client.comparison(experiment["id"])["verdict"])
"""

from firstlight.address import AddressError
from firstlight.client import Client, FirstlightHTTPError, UnexpectedAnswerError

__all__ = ["AddressError", "Client", "FirstlightHTTPError", "UnexpectedAnswerError"]
