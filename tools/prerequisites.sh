#!/bin/sh
# Sees to it that what the build and the store need is there: a Rust toolchain, a C compiler and the
# PostgreSQL server binaries. Installs what is missing through the system's package manager when it
# may; otherwise says exactly what to do.
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
[ -z "$missing" ] && exit 0

if command -v apt-get >/dev/null 2>&1; then
    packages=$(echo $missing | sed 's/compiler/build-essential/; s/postgres/postgresql/')
    install="apt-get install --yes --no-install-recommends $packages"
    update="apt-get update"
elif command -v dnf >/dev/null 2>&1; then
    packages=$(echo $missing | sed 's/compiler/gcc gcc-c++ make/; s/postgres/postgresql-server/')
    install="dnf install --assumeyes $packages"
    update=true
elif command -v pacman >/dev/null 2>&1; then
    packages=$(echo $missing | sed 's/compiler/base-devel/; s/postgres/postgresql/')
    install="pacman --sync --noconfirm --needed $packages"
    update=true
elif command -v brew >/dev/null 2>&1; then
    packages=$(echo $missing | sed 's/compiler//; s/postgres/postgresql@17/')
    install="brew install $packages"
    update=true
else
    say "Missing:$missing. Install a C compiler and the PostgreSQL server (15 or newer), then try again."
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
