#!/usr/bin/env bash
# Install the system programs that the tests need, on a Debian-like machine for CI.
set -euo pipefail
wanted=()
has() { for name in "$@"; do command -v "$name" >/dev/null && return; done; return 1; }
has chromium chromium-browser google-chrome || wanted+=(chromium fonts-dejavu-core)
has npm || wanted+=(nodejs npm)
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || has initdb || wanted+=(postgresql)
[ ${#wanted[@]} -gt 0 ] || exit 0
as_root=""; [ "$(id -u)" = 0 ] || as_root=sudo
$as_root apt-get update -qq
DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq "${wanted[@]}" >/dev/null
