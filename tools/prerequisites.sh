#!/bin/sh
# Sees to it that what the build and the store need is there: a Rust toolchain, a C compiler and the
# PostgreSQL server binaries; for the tests also Python and Node, whose event store clients are run,
# and Chromium, in which the event store's page is opened.
# Installs what is missing through the system's package manager when it may; otherwise says exactly
# what to do.
set -eu

say() { printf '%s\n' "$*" >&2; }

# Whether the given initdb is of PostgreSQL 15 or newer.
is_new_enough() {
    [ -x "$1" ] || return 1
    version=$("$1" --version 2>/dev/null | sed 's/[^0-9]*\([0-9][0-9]*\).*/\1/')
    [ "${version:-0}" -ge 15 ]
}

# Looks where the store will look: in PG_BINDIR alone if that is set.
has_postgres() {
    if [ -n "${PG_BINDIR:-}" ]; then
        is_new_enough "$PG_BINDIR/initdb"
        return
    fi
    for initdb in "$(pg_config --bindir 2>/dev/null)/initdb" \
        "$(command -v initdb 2>/dev/null)" \
        /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb \
        /opt/homebrew/opt/postgresql@*/bin/initdb /usr/local/opt/postgresql@*/bin/initdb; do
        is_new_enough "$initdb" && return 0
    done
    return 1
}

# A Python that can make virtual environments: the one on the path or the system's.
has_python() {
    for python in python3 /usr/bin/python3; do
        "$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))' \
            2>/dev/null && return 0
    done
    return 1
}

has_node() {
    command -v npm >/dev/null 2>&1 || return 1
    version=$(node --version 2>/dev/null | sed 's/^v\([0-9]*\).*/\1/')
    [ "${version:-0}" -ge 18 ]
}

# In which the tests open the event store's page; the names are those that they look for.
has_chromium() {
    for browser in chromium chromium-browser google-chrome \
        "/Applications/Chromium.app/Contents/MacOS/Chromium" \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
        command -v "$browser" >/dev/null 2>&1 && return 0
    done
    return 1
}

missing=""
command -v cargo >/dev/null 2>&1 || {
    say "Rust is missing. Install it with rustup (see rust-lang.org/tools/install), then try again."
    exit 1
}
command -v cc >/dev/null 2>&1 || missing=" compiler"
# Who brings a database needs no server to run the store; the tests start their own.
if [ "${1:-}" != run ] || [ -z "${DATABASE_URL:-}" ]; then
    has_postgres || missing="$missing postgres"
fi
if [ "${1:-}" != run ]; then
    has_python || missing="$missing python"
    has_node || missing="$missing node"
    has_chromium || missing="$missing chromium"
fi
[ -z "$missing" ] && exit 0

if command -v apt-get >/dev/null 2>&1; then
    packages=$(echo $missing | sed 's/compiler/build-essential/; s/postgres/postgresql/
        s/python/python3 python3-venv/; s/node/nodejs npm/')
    install="apt-get install --yes --no-install-recommends $packages"
    update="apt-get update"
elif command -v dnf >/dev/null 2>&1; then
    packages=$(echo $missing | sed 's/compiler/gcc gcc-c++ make/; s/postgres/postgresql-server/
        s/python/python3/; s/node/nodejs npm/')
    install="dnf install --assumeyes $packages"
    update=true
elif command -v pacman >/dev/null 2>&1; then
    packages=$(echo $missing | sed 's/compiler/base-devel/; s/postgres/postgresql/
        s/node/nodejs npm/')
    install="pacman --sync --noconfirm --needed $packages"
    update=true
elif command -v brew >/dev/null 2>&1; then
    packages=$(echo $missing | sed 's/compiler//; s/postgres/postgresql@17/')
    install="brew install $packages"
    update=true
else
    say "Missing:$missing. Install a C compiler, the PostgreSQL server (15 or newer) and, for the tests,"
    say "Python (3.10 or newer, with venv), Node (18 or newer, with npm) and Chromium, then try again."
    exit 1
fi

case "$install" in
brew*) as_root="" ;;
*)
    as_root=""
    if [ "$(id -u)" -ne 0 ]; then
        if command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
            as_root="sudo"
        else
            say "Missing:$missing. Run this, then try again:"
            say "    sudo $update && sudo $install"
            exit 1
        fi
    fi
    ;;
esac

say "Installing${missing}: $install"
$as_root env DEBIAN_FRONTEND=noninteractive $update >/dev/null

# Debian starts a server of its own when PostgreSQL is installed. Only its programs are needed here.
cluster_conf=/etc/postgresql-common/createcluster.conf
if [ "${install#apt-get}" != "$install" ] && [ "${missing#*postgres}" != "$missing" ] \
    && [ ! -e "$cluster_conf" ]; then
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends \
        postgresql-common >/dev/null
    $as_root sed -i 's/^#*create_main_cluster.*/create_main_cluster = false/' "$cluster_conf"
fi
$as_root env DEBIAN_FRONTEND=noninteractive $install >/dev/null

[ "${missing#*postgres}" = "$missing" ] || has_postgres || {
    say "No PostgreSQL 15 or newer is to be found after the installation; set PG_BINDIR to its folder."
    exit 1
}
[ "${missing#*python}" = "$missing" ] || has_python || {
    say "No Python 3.10 or newer with venv is to be found after the installation; the tests need one."
    exit 1
}
[ "${missing#*node}" = "$missing" ] || has_node || {
    say "No Node 18 or newer with npm is to be found after the installation; the tests need one."
    exit 1
}
[ "${missing#*chromium}" = "$missing" ] || has_chromium || {
    say "No Chromium is to be found after the installation; the tests of the event store's page need one."
    exit 1
}
