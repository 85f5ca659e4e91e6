#%% /assets/wrapper
#!/bin/bash
function sigterm_handler() {
    echo "SIGTERM signal received, try to gracefully shutdown all services..."
    exit 143
}
trap "sigterm_handler" TERM
/opt/gitlab/embedded/bin/runsvdir-wrapper &
gitlab-ctl reconfigure
gitlab-ctl tail &
wait
