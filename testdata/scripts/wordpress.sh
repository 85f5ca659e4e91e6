#!/usr/bin/env bash
set -Eeuo pipefail
if [[ "$1" == apache2* ]] || [ "$1" = 'php-fpm' ]; then
	uid="$(id -u)"
	gid="$(id -g)"
	if [ "$uid" = '0' ]; then
		case "$1" in
			apache2*)
				user="${APACHE_RUN_USER:-www-data}"
				group="${APACHE_RUN_GROUP:-www-data}"
				;;
			*) user='www-data'; group='www-data' ;;
		esac
	else
		user="$uid"
		group="$gid"
	fi
	if [ ! -e index.php ] && [ ! -e wp-includes/version.php ]; then
		tar --create --file - --directory /usr/src/wordpress . | tar --extract --file -
	fi
fi
exec "$@"
#%% /usr/local/bin/apache2-foreground
#!/bin/bash
set -e
: "${APACHE_CONFDIR:=/etc/apache2}"
: "${APACHE_ENVVARS:=$APACHE_CONFDIR/envvars}"
if test -f "$APACHE_ENVVARS"; then
	. "$APACHE_ENVVARS"
fi
exec apache2 -DFOREGROUND "$@"
