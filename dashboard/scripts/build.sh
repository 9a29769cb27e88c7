#!/bin/sh
# Builds the dashboard into dashboard/dist, with the machine's Node 20 or newer, or with Node from PyPI in the folder given.
set -eu
bin=$1
cd "$(dirname "$0")/.."
major=$(node --version 2>/dev/null | sed -n 's/^v\([0-9]*\).*/\1/p')
if [ "${major:-0}" -lt 20 ]; then
    [ -x "$bin/npm" ] || "$bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r ../requirements-node.lock
    PATH="$bin:$PATH"
    export PATH
fi
echo "building the dashboard with Node $(node --version) (half a minute) ..."
npm ci --no-audit --no-fund --loglevel=error
npm run --silent build
