"""What a group does with the stack, and what may happen to it, told in order; raises where something is not true."""

import os
import signal
import ssl
import time
from collections.abc import Callable
from functools import partial

import httpx

from firstlight import Client, FirstlightHTTPError
from tests.compose import checks
from tests.compose.engine import ComposeError, until
from tests.compose.stack import FILES, HOSTNAME, OURS, PROJECT, Stack

LONG_EPOCHS = 1000
KERNEL = ("services.training.native.build", "--which")
UNWANTED = ("c++", "g++", "cc", "gcc", "clang", "make")
MODULES = "from importlib.util import find_spec; print(*(name for name in ('pip', 'torch') if find_spec(name)))"


def tell(stack: Stack) -> None:
    """Build, start, use, harm, look, stop."""
    begun = time.monotonic()
    stack.prepare()
    stack.build()
    print(f"engine: {stack.engine.words[0]}; images ready after {time.monotonic() - begun:.0f} s", flush=True)
    base = stack.engine.image_megabytes(stack.variables["PYTHON_IMAGE"])
    for image in OURS.values():
        size = stack.engine.image_megabytes(image)
        print(
            f"image {image}: {size:.0f} MB, of which {size - base:.0f} MB on top of {stack.variables['PYTHON_IMAGE']}"
        )
    print(f"healthy after {stack.up():.1f} s", flush=True)
    look(stack)
    contents(stack)
    see_that_looks_can_fail(stack)
    with Client(f"http://127.0.0.1:{stack.port}") as stranger:
        try:
            list(stranger.experiments())
        except FirstlightHTTPError as refused:
            if refused.status != 401:
                raise ComposeError(f"without a key the answer was {refused.status}") from refused
        else:
            raise ComposeError("the API answers without a key")
    with Client(f"http://127.0.0.1:{stack.port}", api_key=stack.secret("api_keys")) as client:
        quickstart(client)
        experiment, verdict = killed_worker(stack, client)
    behind_tls(stack, f"/v1/experiments/{experiment}/comparison", verdict)
    look(stack)
    for made in stack.running().values():
        checks.nothing_written(stack.engine, made)
    print("nothing is written outside volumes and memory")
    stack.stop()
    print("all end in order", flush=True)


def look(stack: Stack) -> None:
    """Every running container is what the file says, and shows no secret."""
    secrets = [stack.secret(name) for name in ("postgres_password", "redis_password", "api_keys")]
    running = stack.running()
    for name, made in running.items():
        checks.hardened(stack.engine, made, stack.services[name])
        checks.secret_nowhere(stack.engine, made, secrets)
    print(f"as the file says: {', '.join(running)}", flush=True)


def contents(stack: Stack) -> None:
    """No image holds a compiler or pip, and the API's holds no PyTorch."""
    for name in OURS:
        made = stack.container(name)
        programs = stack.engine("exec", made, "sh", "-c", f"command -v {' '.join(UNWANTED)}; true").split()
        modules = stack.engine("exec", made, "python", "-c", MODULES).split()
        expected = ["torch"] if name == "worker" else []
        if programs or modules != expected:
            raise ComposeError(f"the image of {name} holds {programs} and the modules {modules}")
    print("no compiler and no pip in the images, PyTorch in the worker's alone", flush=True)
    kernel = stack.engine("exec", stack.container("worker"), "python", "-m", *KERNEL).strip()
    if "/carried/" not in kernel:
        raise ComposeError(f"the worker has no kernel of its own: {kernel}")
    print(f"kernel: {kernel}", flush=True)


def see_that_looks_can_fail(stack: Stack) -> None:
    """Each look, at something that is not so, says so."""
    engine, made, service = stack.engine, stack.container("worker"), stack.services["worker"]
    untrue: list[dict[str, object]] = [
        {"user": "0:0"},
        {"mem_limit": "1g"},
        {"pids_limit": 7},
        {"volumes": []},
        {"tmpfs": [*service["tmpfs"], "/var/tmp"]},
    ]
    looks: list[Callable[[], object]] = [
        partial(checks.hardened, engine, made, {**service, **change}) for change in untrue
    ]
    looks.append(partial(checks.secret_nowhere, engine, made, ["redis://redis:6379/0"]))
    loose = f"{PROJECT}-loose"
    engine("run", "--name", loose, stack.variables["REDIS_IMAGE"], "touch", "/var/written")
    try:
        looks.append(partial(checks.nothing_written, engine, loose))
        for number, look_at in enumerate(looks):
            try:
                look_at()
            except ComposeError:
                continue
            raise ComposeError(f"look {number} sees nothing amiss where something is")
    finally:
        engine("rm", "--force", "--volumes", loose)


def quickstart(client: Client) -> None:
    """The first study over HTTP with a key."""
    spec = client.catalogue("presets", "quickstart")["spec"]
    begun = time.monotonic()
    experiment = client.submit(spec)
    final = client.wait(experiment["id"], timeout=300)
    if final["state"] != "succeeded":
        raise ComposeError(f"the quickstart is {final['state']}")
    verdict = client.comparison(experiment["id"])["verdict"]
    print(f"quickstart, {time.monotonic() - begun:.1f} s: {verdict}", flush=True)


def killed_worker(stack: Stack, client: Client) -> tuple[str, str]:
    """A worker's container dies in the middle of an experiment: it goes on to the end, to the same numbers."""
    spec = {**client.catalogue("presets", "quickstart")["spec"], "name": "killed", "epochs": LONG_EPOCHS}
    experiment = client.submit(spec)["id"]
    until(lambda: client.experiment(experiment)["progress"] > 0.1, "a tenth is trained")
    engine, made = stack.engine, stack.container("worker")
    main = int(engine.inspect(made)["State"]["Pid"])
    # As when memory runs out: by the kernel, not by the engine's command, after which none is started again.
    os.kill(main, signal.SIGKILL)
    killed = time.monotonic()
    until(lambda: int(engine.inspect(made)["State"]["Pid"]) != main, "the engine to see the death")
    # Read only now: what was on its way to the database at the kill still arrives.
    before = client.experiment(experiment)["progress"]
    until(lambda: client.experiment(experiment)["progress"] > before, "an epoch after the kill")
    waited = time.monotonic() - killed
    if int(engine.inspect(made)["State"]["Pid"]) in (0, main):
        raise ComposeError("the worker's container was not started again")
    final = client.wait(experiment, timeout=600)
    if final["state"] != "succeeded":
        raise ComposeError(f"the experiment whose worker was killed is {final['state']}")
    undisturbed = client.submit({**spec, "name": "undisturbed"})["id"]
    client.wait(undisturbed, timeout=600)
    verdicts = [client.comparison(name)["verdict"] for name in (experiment, undisturbed)]
    if verdicts[0] != verdicts[1]:
        raise ComposeError(f"the kill changed the numbers: {verdicts}")
    print(
        f"worker killed at {before:.0%}; next epoch {waited:.1f} s later; same verdict as without a kill:\n"
        f"    {verdicts[0]}"
    )
    return experiment, verdicts[0]


def behind_tls(stack: Stack, path: str, verdict: str) -> None:
    """The proxy's example: TLS with a certificate for the name, and the same API and comparison behind it."""
    stack.up(*FILES)
    made = stack.container("proxy")
    authority = stack.engine("exec", made, "cat", "/data/caddy/pki/authorities/local/root.crt")
    context = ssl.create_default_context(cadata=authority)
    with httpx.Client(verify=context, base_url=f"https://127.0.0.1:{stack.secure_port}", timeout=30) as client:
        request = client.build_request("GET", path, extensions={"sni_hostname": HOSTNAME})
        request.headers["Host"] = HOSTNAME
        refused = client.send(request).status_code
        request.headers["Authorization"] = f"Bearer {stack.secret('api_keys')}"
        answer = client.send(request)
    if (refused, answer.status_code) != (401, 200) or answer.json()["verdict"] != verdict:
        raise ComposeError(
            f"behind the proxy the API answers {refused} without a key, and with one {answer.text[:300]}"
        )
    print(f"TLS for {HOSTNAME} by the proxy", flush=True)
