# syntax=docker/dockerfile:1
# The service in a container: `docker build -t shirabe .`, then see docker-compose.yml. `shirabe serve` runs by default,
# `shirabe executor` is the other service of the same image.

# --- Build ----------------------------------------------------------------------------------------------------------
FROM rust:1.95-bookworm AS build
# What the Python worker links.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The caches stay between builds, and the programs are copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin shirabe \
    && cargo build --release --locked --manifest-path udfs/worker/Cargo.toml --target-dir target/worker \
    && strip --strip-debug -o /usr/local/bin/shirabe target/release/shirabe \
    && strip --strip-debug -o /usr/local/bin/shirabe-worker target/worker/release/shirabe-worker

# --- Libraries of Python code ---------------------------------------------------------------------------------------
FROM debian:bookworm-slim AS python
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
COPY udfs/python/requirements.txt /tmp/requirements.txt
# Every user can read it. What libraries make at their first use is made here, because a run may write nothing.
RUN --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/shirabe/python \
    && /opt/shirabe/python/bin/pip install --disable-pip-version-check --only-binary=:all: -r /tmp/requirements.txt \
    && /opt/shirabe/python/bin/pip uninstall --yes pip setuptools \
    && mkdir /opt/shirabe/python/matplotlib \
    && MPLCONFIGDIR=/opt/shirabe/python/matplotlib MPL_IGNORE_SYSTEM_FONTS=1 MPLBACKEND=agg \
       /opt/shirabe/python/bin/python -I -c 'import matplotlib.pyplot, sklearn, plotly, polars' \
    && chmod -R a+rX /opt/shirabe/python

# --- Run ------------------------------------------------------------------------------------------------------------
FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="Shirabe" \
      org.opencontainers.image.description="A self-hosted BI and SQL analytics service on Apache DataFusion" \
      org.opencontainers.image.licenses="Apache-2.0"
# Certificates for S3 and DynamoDB, curl for the health check, and Python's own library for the worker, which has the
# interpreter in it.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl python3 tzdata \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 shirabe \
    && useradd --system --uid 10001 --gid 10001 --home-dir /data --shell /usr/sbin/nologin shirabe \
    && install -d -o shirabe -g shirabe -m 0700 /data
COPY --from=python /opt/shirabe/python /opt/shirabe/python
COPY --from=build /usr/local/bin/shirabe /usr/local/bin/shirabe-worker /usr/local/bin/
# What was linked, for those who ask what is inside.
COPY Cargo.lock LICENSE udfs/python/requirements.txt /usr/share/doc/shirabe/
COPY udfs/worker/Cargo.lock /usr/share/doc/shirabe/worker.Cargo.lock
USER 10001:10001
WORKDIR /data
ENV DATA_DIR=/data \
    API_HOST=0.0.0.0 \
    API_PORT=8000 \
    EXECUTOR_HOST=0.0.0.0 \
    EXECUTOR_PORT=8080 \
    EXECUTOR_PYTHON_HOME=/opt/shirabe/python
VOLUME /data
# The API, and the executor.
EXPOSE 8000 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["sh", "-c", "exec curl --fail --silent --show-error --output /dev/null http://127.0.0.1:$API_PORT/api/health"]
# It drains at SIGTERM, which is what `docker stop` sends.
ENTRYPOINT ["shirabe"]
CMD ["serve"]
