# Both stages: `docker build -t adjudicate .`, then `score` or `decide` as the command.
FROM python:3.11.14-slim-bookworm AS build
RUN pip install --no-cache-dir uv==0.13.9
WORKDIR /build
COPY pyproject.toml requirements.lock README.md LICENSE ./
COPY moderation moderation
COPY stream stream
RUN uv venv /app && uv pip install --python /app/bin/python --constraint requirements.lock --no-cache .

FROM python:3.11.14-slim-bookworm
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin adjudicate
COPY --from=build /app /app
ENV PATH=/app/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    ADJUDICATE_WORKER__METRICS_PORT=9100 ADJUDICATE_WORKER__METRICS_HOST=0.0.0.0
USER 10001:10001
EXPOSE 9100
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD \
    ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:9100/metrics', timeout=2)"]
ENTRYPOINT ["adjudicate"]
CMD ["--help"]
