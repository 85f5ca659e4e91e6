# shellcheck shell=bash
# The common start of the scripts for the mirror. This file is sourced, not run.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=scripts/lib.sh
source "$root/scripts/lib.sh"

# start_mirror_tool NAME OPTION…: builds what is needed, and executes scripts/mirror-tools/NAME.py.
start_mirror_tool() {
    local tool=$1 tools=${CARGO_TARGET_DIR:-$root/target}/bench-tools is_given='' option
    shift
    for option; do
        case $option in
        -h | --help)
            sed -n '2,/^set /{/^set /!s/^# \{0,1\}//p}' "$0"
            exit
            ;;
        --reapify) is_given=yes ;;
        esac
    done
    need python3=python3 docker-registry=docker-registry skopeo=skopeo
    cargo build --quiet --release --locked --manifest-path "$root/scripts/bench-tools/Cargo.toml" \
        --target-dir "$tools"
    if [[ -z $is_given ]]; then
        cargo build --quiet --release --locked --manifest-path "$root/Cargo.toml"
        set -- "$@" --reapify "${CARGO_TARGET_DIR:-$root/target}/release/reapify"
    fi
    exec python3 "$root/scripts/mirror-tools/$tool.py" --tools "$tools/release" "$@"
}
