#!/usr/bin/env bash
# Install what the tests need from Debian's packages. Fast when all of it is there.
set -euo pipefail

packages=()
need() { # need COMMAND PACKAGE...: the packages are wanted when the command is missing
    command -v "$1" >/dev/null || packages+=("${@:2}")
}

need make make
need java openjdk-17-jre-headless
need node nodejs
need npm npm
# Debian keeps the server's programs off PATH.
compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || packages+=(postgresql)
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)

if [ ${#packages[@]} -eq 0 ]; then
    echo "debian: all packages present" >&2
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo "debian: missing ${packages[*]}, and there is no apt-get. Remedy: install them with your package manager" >&2
    exit 1
fi
sudo=()
if [ "$(id -u)" -ne 0 ]; then
    sudo=(sudo)
fi
echo "debian: installing ${packages[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
for try in 1 2 3; do
    if "${sudo[@]}" apt-get -qq update >&2 &&
        "${sudo[@]}" apt-get -qq install -y --no-install-recommends "${packages[@]}" >&2; then
        exit 0
    fi
    echo "debian: try $try of 3 failed" >&2
    sleep 5
done
echo "debian: could not install ${packages[*]}. Remedy: run apt-get install by hand and read its message" >&2
exit 1
