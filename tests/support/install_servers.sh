#!/usr/bin/env bash
# The integration tests run real servers: Kafka and Debezium on Java (jars by Maven), PostgreSQL and Chromium from the system's
# packages. As root on a Debian-like system this installs what is missing; otherwise it says what to install.
set -euo pipefail

missing=()
command -v java >/dev/null || missing+=(default-jre-headless)
command -v mvn >/dev/null || missing+=(maven)
command -v chromium >/dev/null || missing+=(chromium)
command -v setpriv >/dev/null || missing+=(util-linux)
command -v initdb >/dev/null || compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null || missing+=(postgresql)

if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "the integration tests need: ${missing[*]} (names of Debian's packages); install them and try again" >&2
  exit 1
fi
echo "installing for the integration tests: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet --quiet
apt-get install --quiet --quiet --yes --no-install-recommends "${missing[@]}"
