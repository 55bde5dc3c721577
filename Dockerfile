# Two images come from this file:
#
#   docker build -t dropgate .                             the service
#   docker build -t dropgate-sandbox --target sandbox .    the emulator, the demo identity provider and the demo page, for compose
#
# It needs BuildKit, the default builder of Docker since 23.0. Base images are pinned
# by tag. For a reproducible build, pin them by digest:
#
#   docker build --build-arg GOLANG_IMAGE=golang:1.26@sha256:… --build-arg RUNTIME_IMAGE=gcr.io/distroless/static-debian12:nonroot@sha256:… .
ARG GOLANG_IMAGE=golang:1.26
ARG RUNTIME_IMAGE=gcr.io/distroless/static-debian12:nonroot

# The compiler runs on the builder's own platform and cross-compiles:
# no emulation when the image is for another architecture.
FROM --platform=$BUILDPLATFORM ${GOLANG_IMAGE} AS golang

FROM golang AS sbom-tool
# Use --build-arg GOPROXY=https://… if the public module proxy is unreachable.
ARG GOPROXY
ARG CYCLONEDX_GOMOD_VERSION=v1.10.0
RUN go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@${CYCLONEDX_GOMOD_VERSION}

FROM golang AS source
WORKDIR /src
# The modules are a layer of their own, rebuilt only when they change.
COPY go.mod go.sum ./
ARG GOPROXY
RUN go mod download
COPY . .
# The distroless image has no mkdir. A new volume on /data takes over the owner and the
# mode of this folder. Group 0 may write, since OpenShift runs a container as a random
# user of that group. The folder has one of its own around it, since COPY keeps the mode
# of what it finds inside a folder only.
RUN mkdir -p /skeleton/data && chmod 0770 /skeleton/data
COPY --from=sbom-tool /go/bin/cyclonedx-gomod /usr/local/bin/

FROM source AS build-server
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
ARG REVISION=
# The tag leaves out a validator that calls methods by name. With such a call anywhere,
# the linker keeps every method of every library: 8 MB.
RUN --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -tags validator_novalidatefn -ldflags "-s -w -X main.version=$VERSION -X main.commit=$REVISION" -o /out/server ./cmd/server
RUN /usr/local/bin/cyclonedx-gomod bin -json -std -noserial -version "$VERSION" -output /out/server.cdx.json /out/server

FROM source AS build-sandbox
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
RUN --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -tags validator_novalidatefn -ldflags "-s -w" -o /out/sandbox ./cmd/sandbox

FROM ${RUNTIME_IMAGE} AS sandbox
ARG VERSION=dev
LABEL org.opencontainers.image.title="dropgate sandbox" \
      org.opencontainers.image.description="An emulator of Dwolla and a demo identity provider. For a laptop, never for production." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build-sandbox /out/sandbox /sandbox
COPY --from=source --chown=65532:0 /skeleton/ /
WORKDIR /data
VOLUME /data
USER 65532:65532
EXPOSE 8080 17188 17189
# docker-compose.yml says which parts a container runs, and so which parts its health check asks.
ENTRYPOINT ["/sandbox"]

# The service is the last stage, so that a plain "docker build ." builds it.
FROM ${RUNTIME_IMAGE} AS server
ARG RUNTIME_IMAGE
ARG VERSION=dev
ARG REVISION=unknown
# A time in RFC 3339. Without it, the label is empty.
ARG CREATED
# Where the project lives. A fork or a mirror sets its own.
ARG URL
ARG SOURCE
ARG DOCUMENTATION
ARG VENDOR="The dropgate authors"
LABEL org.opencontainers.image.title="dropgate" \
      org.opencontainers.image.description="Vends Dwolla client tokens to drop-in components in the browser." \
      org.opencontainers.image.url="$URL" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.documentation="$DOCUMENTATION" \
      org.opencontainers.image.vendor="$VENDOR" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.base.name="$RUNTIME_IMAGE"
COPY --from=build-server /out/server /server
COPY --from=build-server /out/server.cdx.json /usr/share/sbom/dropgate.cdx.json
COPY --from=source --chown=65532:0 /skeleton/ /
# The default database is the file dropgate.db in the current folder.
WORKDIR /data
VOLUME /data
# A number, since Kubernetes cannot verify runAsNonRoot for a name.
USER 65532:65532
EXPOSE 8080 9090
# Readiness. Kubernetes ignores this, and probes /livez and /readyz on port 9090.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/server", "-healthcheck"]
ENTRYPOINT ["/server"]
