#!/bin/sh
# 16 processes finish different steps of one release at once, 20 times (or as often as the first word says): all steps are in the manifest.
set -eu
cd "$(dirname "$0")/../.."
PROV_TEST_ROUNDS="${1:-20}" cargo nextest run --locked --test cli o01_sixteen_processes
