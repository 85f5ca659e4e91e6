#!/bin/sh
set -eu
version_greater() {
    [ "$(printf '%s\n' "$@" | sort -t '.' -n | head -n 1)" != "$1" ]
}
run_as() {
    if [ "$(id -u)" = 0 ]; then
        su -p "$user" -s /bin/sh -c "$1"
    else
        sh -c "$1"
    fi
}
if expr "$1" : "apache" 1>/dev/null || [ "$1" = "php-fpm" ] || [ "${NEXTCLOUD_UPDATE:-0}" -eq 1 ]; then
    uid="$(id -u)"
    user='www-data'
    (
        if ! flock -n 9; then
            echo "Another process is initializing Nextcloud. Waiting..."
            flock 9
        fi
        run_as 'php /var/www/html/occ maintenance:install'
    ) 9> /var/www/html/nextcloud-init-sync.lock
fi
exec "$@"
