#!/usr/bin/env bash
# Installs what `make demo` or `make test` needs from the system, as root on Debian; else names it in one line.
#
# Usage: tools/system-packages.sh demo|test. PYTHON names the Python to use. The demo goes on without Java, Maven and
# Redis, as it has stand-ins for them; a test run ends here if anything is missing.
set -euo pipefail

python=${PYTHON:-python3}
packages=()

has_python() { "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

has_venv() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }

has_java() { # Kafka needs 17; `1.8` is how old ones count.
  local version
  version=$(java -XshowSettings:properties -version 2>&1 | sed -n 's/.*java\.specification\.version = //p')
  ((${version%%.*} >= 17)) 2>/dev/null
}

has_shared_python() { # Triton's backend embeds one; pyenv's and Docker's lie beside their interpreter.
  "$python" - 2>/dev/null <<'EOF' || ldconfig -p 2>/dev/null | grep -Eq 'libpython3\.1[12]\.so\.1'
import pathlib, sys, sysconfig
folder, triplet = (sysconfig.get_config_var(name) or "" for name in ("LIBDIR", "MULTIARCH"))
name = "libpython%d.%d.so.1.0" % sys.version_info[:2]
places = (folder, pathlib.Path(folder, triplet), pathlib.Path(sys.base_prefix, "lib"))
sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)) or not any(pathlib.Path(p, name).exists() for p in places))
EOF
}

need() { # need PACKAGE COMMAND...: the package, unless the command succeeds
  "${@:2}" >/dev/null 2>&1 || packages+=("$1")
}

list_packages() {
  need make command -v make
  need python3 has_python
  need python3-venv has_venv
  need libpython3.11 has_shared_python
  optional_from=${#packages[@]}
  need openjdk-17-jre-headless has_java
  need maven command -v mvn
  need redis-server command -v redis-server
  [[ $1 == demo ]] || need chromium command -v chromium
}

can_install() { [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null; }

list_packages "$1"
((${#packages[@]})) || exit 0
if can_install; then
  echo "Installing with apt-get: ${packages[*]}" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
elif [[ $1 == demo ]] && ((optional_from == 0)); then
  echo "For the real servers install first: apt-get install ${packages[*]}" >&2
else
  echo "Install first: apt-get install ${packages[*]}" >&2
  exit 1
fi
