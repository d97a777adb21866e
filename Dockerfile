# One image for migrate, api and worker. Build: docker build -t firstlight .
# PyTorch's default wheel carries CUDA; for a CPU-only image hand pip its CPU index through PIP_ARGS.
FROM python:3.12-slim-bookworm AS build
ARG PIP_ARGS=""
WORKDIR /src
RUN python -m venv /opt/venv
COPY requirements.lock requirements-data.lock pyproject.toml README.md LICENSE ./
RUN /opt/venv/bin/pip install --no-cache-dir $PIP_ARGS -r requirements.lock && /opt/venv/bin/pip install --no-cache-dir --no-deps -r requirements-data.lock
COPY services services
COPY api api
COPY worker worker
COPY migrations migrations
COPY firstlight firstlight
RUN /opt/venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12-slim-bookworm
# The fast CPU engine is compiled for the machine it runs on, at first use.
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home --home-dir /var/lib/firstlight firstlight
COPY --from=build /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 FIRSTLIGHT_HOME=/var/lib/firstlight
WORKDIR /var/lib/firstlight
USER 10001:10001
EXPOSE 8000
CMD ["python", "-m", "api", "--host", "0.0.0.0", "--port", "8000"]
