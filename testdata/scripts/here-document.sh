#!/bin/bash
cat > /etc/app.conf <<-EOF
	exec redis-server
	user=${USER_NAME}
	EOF
cat <<'END' >> /etc/app.conf
done; exit 1
END
exec nginx
