# The images of the service, a target each: `api` (which also migrates), `worker` (CPU) and `worker-gpu`. docker-compose.yml
# builds and tags each once. They hold no compiler and no build tool: what they need is made ready in stages of its own.
#
# To build from another package index, hand its pip configuration over; it stays out of the images:
#   docker build --secret id=pip_conf,src=/etc/pip.conf --target api .

ARG PYTHON_IMAGE=python:3.13-slim-bookworm

# --- what compiles and installs ---------------------------------------------------------------------------------------

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
# The package lies beside the environment, which so changes only with the locks: a new version is a small layer.
RUN python -m venv /opt/venv \
    && echo /opt/firstlight > "$(/opt/venv/bin/python -c 'import site; print(site.getsitepackages()[0])')/firstlight.pth"
WORKDIR /src

# The CPU engine is compiled while the package is built, for every kind of processor it knows.
FROM build AS package
RUN apt-get update && apt-get install --yes --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
COPY requirements/build.txt requirements/
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    /opt/venv/bin/python -m pip install --require-hashes --requirement requirements/build.txt
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY services services
COPY api api
COPY worker worker
COPY migrations migrations
COPY firstlight firstlight
RUN FIRSTLIGHT_KERNELS=required \
    /opt/venv/bin/python -m pip install --no-deps --no-build-isolation --target /opt/firstlight .

FROM build AS api-needs
COPY requirements/api.txt requirements/data.txt requirements/
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    /opt/venv/bin/python -m pip install --require-hashes --requirement requirements/api.txt \
    && /opt/venv/bin/python -m pip install --require-hashes --no-deps --requirement requirements/data.txt \
    && /opt/venv/bin/python -m pip uninstall --yes pip

FROM build AS worker-packages
COPY requirements/worker.txt requirements/data.txt requirements/
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    /opt/venv/bin/python -m pip install --require-hashes --requirement requirements/worker.txt \
    && /opt/venv/bin/python -m pip install --require-hashes --no-deps --requirement requirements/data.txt
COPY requirements/torch.txt requirements/install_torch.py requirements/

FROM worker-packages AS worker-needs
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    /opt/venv/bin/python requirements/install_torch.py cpu \
    && /opt/venv/bin/python -m pip uninstall --yes pip

FROM worker-packages AS worker-gpu-needs
RUN --mount=type=secret,id=pip_conf,target=/etc/pip.conf \
    /opt/venv/bin/python requirements/install_torch.py cuda \
    && /opt/venv/bin/python -m pip uninstall --yes pip

# --- what runs --------------------------------------------------------------------------------------------------------

FROM ${PYTHON_IMAGE} AS base
RUN groupadd --gid 10001 firstlight \
    && useradd --no-log-init --uid 10001 --gid 10001 --create-home --home-dir /var/lib/firstlight firstlight
# PYTHONSAFEPATH: the folder a process runs in holds data, and no module is looked for there.
ENV PATH=/opt/venv/bin:/opt/firstlight/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PYTHONSAFEPATH=1 \
    FIRSTLIGHT_HOME=/var/lib/firstlight
WORKDIR /var/lib/firstlight
USER 10001:10001

FROM base AS api
COPY --from=api-needs /opt/venv /opt/venv
COPY --from=package /opt/firstlight /opt/firstlight
EXPOSE 8000
CMD ["python", "-m", "api", "--host", "0.0.0.0", "--port", "8000"]

FROM base AS worker
COPY --from=worker-needs /opt/venv /opt/venv
COPY --from=package /opt/firstlight /opt/firstlight
CMD ["python", "-m", "worker"]

FROM base AS worker-gpu
COPY --from=worker-gpu-needs /opt/venv /opt/venv
COPY --from=package /opt/firstlight /opt/firstlight
CMD ["python", "-m", "worker"]
