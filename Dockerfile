# syntax=docker/dockerfile:1
# The service in a container: `docker build -t shirabe .`, then see docker-compose.yml.

# --- Build ----------------------------------------------------------------------------------------------------------
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# The caches stay between builds, and the program is copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin shirabe \
    && strip --strip-debug -o /usr/local/bin/shirabe target/release/shirabe

# --- Run ------------------------------------------------------------------------------------------------------------
FROM debian:bookworm-slim
LABEL org.opencontainers.image.title="Shirabe" \
      org.opencontainers.image.description="A self-hosted BI and SQL analytics service on Apache DataFusion" \
      org.opencontainers.image.licenses="Apache-2.0"
# Certificates for S3 and DynamoDB, and curl for the health check.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --system --gid 10001 shirabe \
    && useradd --system --uid 10001 --gid 10001 --home-dir /data --shell /usr/sbin/nologin shirabe \
    && install -d -o shirabe -g shirabe -m 0700 /data
COPY --from=build /usr/local/bin/shirabe /usr/local/bin/shirabe
# What was linked, for those who ask what is inside.
COPY Cargo.lock LICENSE /usr/share/doc/shirabe/
USER 10001:10001
WORKDIR /data
ENV DATA_DIR=/data \
    API_HOST=0.0.0.0 \
    API_PORT=8000
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["sh", "-c", "exec curl --fail --silent --show-error --output /dev/null http://127.0.0.1:$API_PORT/api/health"]
# It drains at SIGTERM, which is what `docker stop` sends.
ENTRYPOINT ["shirabe"]
CMD ["serve"]
