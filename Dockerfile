# The images of Millrace, for docker and buildah alike:
#   docker build --target operator -t millrace/operator:0.1.0 .
# Targets: operator, transcode, quickstart. A context with a folder bin/ brings the programs along, as
# tests/images.sh makes one; any other is the source tree, which is compiled here.
# What may differ between two builds is removed (images/apt.sh) or set to SOURCE_DATE_EPOCH.
ARG BASE=docker.io/library/debian:12-slim
ARG RUST=docker.io/library/rust:1.95-bookworm
ARG GO=docker.io/library/golang:1.26-bookworm

# --- our programs
FROM ${RUST} AS programs
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/target \
  if [ ! -d bin ]; then \
    apt-get update -q && apt-get install -y -q --no-install-recommends nodejs npm libssl-dev pkg-config && \
    CARGO_TARGET_DIR=/target tests/build.sh bin; \
  fi

# --- the S3 server of the quick start
FROM ${GO} AS gateway
COPY tests/services /src/tests/services
RUN --mount=type=bind,target=/context \
  mkdir /out && cp /context/bin/versitygw /out/ 2>/dev/null || { \
    version=$(sed -n 's/^VERSION=//p' /src/tests/services/s3.sh) && \
    CGO_ENABLED=0 GOBIN=/out GOFLAGS=-trimpath go install -ldflags='-s -w' "github.com/versity/versitygw/cmd/versitygw@$version"; \
  }

# --- Kafka's jars
FROM ${BASE} AS kafka
COPY tests/services /src/tests/services
RUN --mount=type=bind,target=/context \
  mkdir /out && cp /context/kafka/*.jar /out/ 2>/dev/null || { \
    apt-get update -q && apt-get install -y -q --no-install-recommends maven default-jdk-headless && \
    mvn -q -B -f /src/tests/services/kafka/pom.xml dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=/out; \
  }

# --- what all images begin with
FROM ${BASE} AS runtime
ARG SOURCE_DATE_EPOCH=1767225600
COPY images/apt.sh /usr/local/sbin/install-packages
RUN install-packages ca-certificates libssl3 && \
  echo 'millrace:x:10001:10001::/tmp:/usr/sbin/nologin' >>/etc/passwd && \
  echo 'millrace:x:10001:' >>/etc/group
ENV HOME=/tmp

# --- operator, ingest and delivery
FROM runtime AS operator
COPY --from=programs /src/bin/millrace-operator /src/bin/millrace-ingest /src/bin/millrace-delivery /usr/local/bin/
USER 10001:10001
CMD ["millrace-operator", "run"]

# --- all of them, with ffmpeg
FROM runtime AS transcode
ARG SOURCE_DATE_EPOCH=1767225600
RUN install-packages ffmpeg
COPY --from=programs /src/bin/millrace-operator /src/bin/millrace-ingest /src/bin/millrace-delivery \
  /src/bin/millrace-transcode /usr/local/bin/
USER 10001:10001
CMD ["millrace-operator", "run"]

# --- Postgres, Redis, Kafka and an S3 server, for trying it out
FROM runtime AS quickstart
ARG SOURCE_DATE_EPOCH=1767225600
RUN install-packages postgresql-15 redis-server redis-tools openjdk-17-jre-headless
COPY --from=kafka /out/ /usr/share/millrace-quickstart/kafka/
COPY --from=gateway /out/versitygw /usr/local/bin/
COPY images/quickstart/ /usr/local/bin/
USER 10001:10001
