# One image for each server of the fleet:  docker build --build-arg SERVICE=order-service -t flotilla/order-service .
# The first stage installs, from hashes, what that one service needs; the second has it and nothing else.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1
WORKDIR /build

# The tools: uv, by the hash in the lock, and the build backend of our own folders.
COPY requirements.lock .
RUN python -m venv tools \
 && awk '/^uv==/ {found = 1} found {print; if ($0 !~ /\\$/) exit}' requirements.lock > uv.txt \
 && tools/bin/pip install --quiet --require-hashes -r uv.txt \
 && tools/bin/uv pip install --quiet --python tools/bin/python --constraint requirements.lock hatchling

# What all services need: a layer that every image shares. As a constraint the lock decides versions, and uv checks
# its hashes; as a requirement it would bring the linters and test tools along.
COPY chassis/pyproject.toml chassis/pyproject.toml
RUN python -m venv --without-pip /opt/flotilla \
 && tools/bin/uv pip install --quiet --python /opt/flotilla/bin/python --compile-bytecode \
      --constraint requirements.lock -r chassis/pyproject.toml --extra db --extra kafka

COPY chassis chassis
RUN cd chassis && ../tools/bin/python -m hatchling build -t wheel -d /build/wheels

# The service, and what it needs beyond the chassis.
ARG SERVICE
COPY ${SERVICE} ${SERVICE}
RUN test -n "$SERVICE" || { echo "say which one: --build-arg SERVICE=order-service" >&2; exit 1; }; \
    cd "$SERVICE" && ../tools/bin/python -m hatchling build -t wheel -d /build/wheels && cd .. \
 && tools/bin/uv pip install --quiet --python /opt/flotilla/bin/python --compile-bytecode \
      --constraint requirements.lock wheels/*.whl


FROM python:3.13-slim
RUN useradd --system --uid 10001 --no-create-home flotilla \
 && mkdir /var/lib/flotilla && chown flotilla: /var/lib/flotilla
COPY --from=build /opt/flotilla /opt/flotilla

ARG SERVICE
ENV SERVICE=${SERVICE} \
    PATH=/opt/flotilla/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    HOST=0.0.0.0 \
    PORT=8080 \
    STATE_DIR=/var/lib/flotilla
LABEL org.opencontainers.image.title=flotilla-${SERVICE} \
      org.opencontainers.image.licenses=Apache-2.0
USER flotilla
WORKDIR /var/lib/flotilla
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/actuator/health/liveness', timeout=4)"]
CMD exec python -m "$(printf %s "$SERVICE" | tr - _)"
