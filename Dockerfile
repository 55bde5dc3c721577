# Two images come from this file:
#
#   docker build -t dropgate .                             the service
#   docker build -t dropgate-sandbox --target sandbox .    the emulator and the demo identity provider, for compose
#
# It needs BuildKit, the default builder of Docker since 23.0. Base images are
# pinned by tag. For reproducible builds, also pin them by digest
# ("golang:1.26@sha256:…") and let a bot move the digests.

# The compiler runs on the builder's own platform and cross-compiles:
# no emulation when the image is for another architecture.
FROM --platform=$BUILDPLATFORM golang:1.26 AS source
WORKDIR /src
# The modules are a layer of their own, rebuilt only when they change.
COPY go.mod go.sum ./
# Use --build-arg GOPROXY=https://… if the public module proxy is unreachable.
ARG GOPROXY
RUN go mod download
COPY . .
# The distroless image has no mkdir. A volume mounted on /data takes over the
# owner of this directory, so that SQLite can write there.
RUN mkdir /data

FROM source AS build-server
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
RUN --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/server ./cmd/server

FROM source AS build-sandbox
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
RUN --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/sandbox ./cmd/sandbox

FROM gcr.io/distroless/static-debian12:nonroot AS sandbox
ARG VERSION=dev
LABEL org.opencontainers.image.title="dropgate sandbox" \
      org.opencontainers.image.description="An emulator of Dwolla and a demo identity provider. For a laptop, never for production." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build-sandbox /out/sandbox /sandbox
USER 65532:65532
EXPOSE 17188 17189
ENTRYPOINT ["/sandbox"]

# The service is the last stage, so that a plain "docker build ." builds it.
FROM gcr.io/distroless/static-debian12:nonroot AS server
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="dropgate" \
      org.opencontainers.image.description="Vends Dwolla client tokens to drop-in components in the browser." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build-server /out/server /server
COPY --from=source --chown=65532:65532 /data /data
# A number, since Kubernetes cannot verify runAsNonRoot for a name.
USER 65532:65532
# No HEALTHCHECK: the orchestrator probes /livez and /readyz on port 9090.
EXPOSE 8080 9090
ENTRYPOINT ["/server"]
