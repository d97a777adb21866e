"""Options that several commands have."""

from typing import Annotated

import typer

Url = Annotated[
    str | None,
    typer.Option("--url", envvar="FIRSTLIGHT_URL", help="Address of the service, such as http://127.0.0.1:8000."),
]
Experiment = Annotated[str, typer.Argument(help="Experiment id, exp_…")]
AsJson = Annotated[bool, typer.Option("--json", help="The whole answer as JSON.")]
