# The images of the operator and, with --target simulator, of the simulated Alloy API, for linux/amd64 and linux/arm64.
# Both bases are named by tag; `make pin` adds their digests. The build needs no network but the Go module proxy.
ARG GO_IMAGE=golang:1.26
ARG BASE_IMAGE=gcr.io/distroless/static:nonroot

# The compiler runs on the machine's own platform and compiles for the target's.
FROM --platform=$BUILDPLATFORM $GO_IMAGE AS build
ARG GOPROXY=https://proxy.golang.org
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY api api
COPY cmd cmd
COPY internal internal
ARG TARGETOS TARGETARCH VERSION=unknown
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -ldflags "-s -w -X main.version=$VERSION" \
    -o /programs/ ./cmd/operator ./cmd/alloy-simulator

# The base has only CA certificates, time zones and an unprivileged user.
FROM $BASE_IMAGE AS base
ARG VERSION=unknown REVISION=unknown SOURCE=https://github.com/embedded-user-operator/embedded-user-operator
LABEL org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.source=$SOURCE \
      org.opencontainers.image.licenses=Apache-2.0
USER 65532:65532

FROM base AS simulator
LABEL org.opencontainers.image.title=embedded-user-operator-simulator \
      org.opencontainers.image.description="Simulates the Users API of Alloy Embedded, for tests and demonstrations"
COPY --from=build /programs/alloy-simulator /alloy-simulator
ENTRYPOINT ["/alloy-simulator"]

FROM base AS operator
LABEL org.opencontainers.image.title=embedded-user-operator \
      org.opencontainers.image.description="Creates the users that EmbeddedUserBatches list in Alloy Embedded"
COPY --from=build /programs/operator /manager
ENTRYPOINT ["/manager"]
