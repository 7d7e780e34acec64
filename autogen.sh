#!/bin/sh
# Makes ./configure from configure.ac; needed once after a checkout.
set -eu
cd "$(dirname "$0")"
exec autoreconf -fi
