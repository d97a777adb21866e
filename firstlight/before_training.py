"""Commands about what is known before anything is trained: catalogue, presets, advice, predictions."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
import yaml

from firstlight.client import Client
from firstlight.display import number
from firstlight.endings import CommandError
from firstlight.options import AsJson, Url
from firstlight.output import Column, show_json, show_table
from firstlight.spec_files import value_of

FAMILIES = ("activations", "initializers", "optimizers", "models", "datasets", "presets", "figures")


def presets(name: Annotated[str | None, typer.Argument()] = None, url: Url = None, as_json: AsJson = False) -> None:
    """List the presets, or print one's spec as YAML, ready to submit."""
    with Client(url) as client:
        answer = client.catalogue("presets", name)
    if as_json:
        show_json(answer)
    elif name:
        print(yaml.safe_dump(answer["spec"], sort_keys=False, allow_unicode=True), end="")
    else:
        show_table((Column("name", whole=True), Column("title")), _members(answer))


def catalogue(
    family: Annotated[str, typer.Argument(help=", ".join(FAMILIES))],
    kind: Annotated[str | None, typer.Argument(help="One member, with all that is known of it.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """What there is: activations, initializers, optimizers, models, datasets, presets, figures."""
    if family not in FAMILIES:
        raise CommandError(f"family: {family!r} is not one of {', '.join(FAMILIES)}")
    with Client(url) as client:
        answer = client.catalogue(family, kind)
    if as_json:
        show_json(answer)
    elif kind:
        print(yaml.safe_dump(answer, sort_keys=False, allow_unicode=True, width=110), end="")
    else:
        show_table((Column("name", whole=True), Column("what it is")), _members(answer))


def _members(answer: Mapping[str, Any]) -> Iterator[tuple[object, object]]:
    for item in answer["items"]:
        yield item.get("name") or item.get("kind"), item.get("title") or item.get("description")


def recommend(
    task: Annotated[str, typer.Option(help="binary, multiclass, classification or regression.")] = "multiclass",
    depth: Annotated[int, typer.Option(help="Hidden layers, 1 to 200.")] = 2,
    activation: Annotated[str | None, typer.Option(help="Of the hidden layers, if settled.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """What to choose before the first experiment: by role, the best first, each with its reason."""
    query = {"task": task, "depth": depth, **({"activation": activation} if activation else {})}
    with Client(url) as client:
        items = client.recommend(**query)
    if as_json:
        show_json(items)
        return
    columns = (
        Column("role"),
        Column("rank", right=True),
        Column("choice", whole=True),
        Column("reason"),
        Column("warning"),
    )
    show_table(columns, ([item[column.name] for column in columns] for item in items))


def predict(
    activation: Annotated[list[str], typer.Option("--activation", "-a", help="relu, or '{kind: elu, alpha: 0.5}'.")],
    initializer: Annotated[list[str], typer.Option("--initializer", "-i", help="As the activation; both repeat.")],
    depth: Annotated[int | None, typer.Option(help="Hidden layers, all of --width units.")] = None,
    width: Annotated[int | None, typer.Option(help="Units of a hidden layer; default 100.")] = None,
    hidden: Annotated[list[int] | None, typer.Option(help="Units of one hidden layer; repeat it for each.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Gives the numbers of inputs and outputs.")] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """What theory expects of untrained networks: do signals and gradients keep their size? Nothing is trained."""
    networks = {
        "activation": [value_of(text, "--activation") for text in activation],
        "initializer": [value_of(text, "--initializer") for text in initializer],
        **{
            name: value
            for name, value in (("depth", depth), ("width", width), ("hidden", hidden), ("dataset", dataset))
            if value not in (None, [])  # a depth of 0 is for the service to refuse
        },
    }
    with Client(url) as client:
        answer = client.predict(networks)
    if as_json:
        show_json(answer)
        return
    columns = (
        Column("network"),
        Column("signals", whole=True),
        Column("gradients", whole=True),
        Column("gradient ratio", right=True, explains=True),
        Column("in words"),
    )
    show_table(columns, map(_prediction_row, answer["predictions"]))


def _prediction_row(item: Mapping[str, Any]) -> list[object]:
    network = item["prediction"]
    return [
        item["label"],
        network["forward"],
        network["backward"],
        number(network["gradient_ratio"]),
        network["sentence"],
    ]
