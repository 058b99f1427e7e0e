# Two stages, no BuildKit syntax: builds with Docker 20.10's classic builder as well.
FROM debian:bookworm-slim AS build
WORKDIR /src
# The packages first: they change less often than the code.
COPY scripts/lib/common.sh scripts/lib/
COPY scripts/install-deps scripts/
RUN scripts/install-deps build && rm -rf /var/lib/apt/lists/*
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY include include
COPY src src
RUN cmake --preset release -DM2B_TESTS=OFF -DM2B_BENCH=OFF -DM2B_WARNINGS_AS_ERRORS=OFF \
    && cmake --build --preset release --target mqtt-to-blob \
    && cmake --install build/release --prefix /out --strip
COPY scripts/sbom scripts/
RUN scripts/sbom --binary /out/bin/mqtt-to-blob /out/share/doc/mqtt-to-blob

FROM debian:bookworm-slim
# Only what the binary is linked with, and the authorities for HTTPS.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --no-install-recommends --yes \
        ca-certificates libcurl4 libfmt9 liblmdb0 libmodpbase64-0 \
        libprometheus-cpp-core1.0 libsimdjson14 libspdlog1.10 libssl3 libxxhash0 \
    && rm -rf /var/lib/apt/lists/* \
    && install -d -o 65532 -g 65532 -m 700 /spool
COPY --from=build /out/bin/mqtt-to-blob /usr/local/bin/mqtt-to-blob
# What it is made of, and the licences of that.
COPY --from=build /out/share/doc/mqtt-to-blob /usr/share/doc/mqtt-to-blob

# By number, so that Kubernetes can see that it is not root; nobody has it in /etc/passwd.
USER 65532:65532
ENV SPOOL_DIR=/spool
# All that is ever written: the root may be read-only.
VOLUME /spool
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["/usr/local/bin/mqtt-to-blob", "--health"]
ENTRYPOINT ["/usr/local/bin/mqtt-to-blob"]

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="mqtt-to-blob" \
      org.opencontainers.image.description="Camera pictures from MQTT into a MinIO/S3 bucket, none lost" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.base.name="debian:bookworm-slim"
