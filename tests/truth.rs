//! The verdicts of `inspect` compared with what happens when the images run: Debian's services with their own start
//! scripts, and common ways to start them.

mod support;

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Mutex;

use support::daemon::needs;
use support::truth::{Built, Case, PLAIN, Seen, build, is_program, observe, verdict};

const REDIS: Case = Case {
    packages: &["redis-tools", "redis-server"],
    runs: "redis-server",
    ready: "Ready to accept connections",
    told: "bye bye",
    ..PLAIN
};

const PYTHON: Case = Case {
    packages: &["python3-minimal", "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"],
    runs: "python3",
    ..PLAIN
};

const POSTGRES: Case = Case {
    packages: &["postgresql-15", "postgresql-client-15", "postgresql-common"],
    made: &["/var/lib/postgresql", "/etc/postgresql", "/usr/share/zoneinfo"],
    runs: "postgres",
    ready: "database system is ready to accept connections",
    ..PLAIN
};

const MARIADB: Case = Case {
    packages: &[
        "mariadb-server-core",
        "mariadb-server",
        "mariadb-client-core",
        "mariadb-client",
        "mariadb-common",
        "mysql-common",
    ],
    made: &["/etc/mysql"],
    runs: "mariadbd",
    ready: "ready for connections",
    told: "Shutdown complete",
    ..PLAIN
};

const ERLANG: Case = Case {
    packages: &["erlang-base"],
    made: &["/usr/lib/erlang", "/usr/bin/erl"],
    runs: "beam.smp",
    ..PLAIN
};

const APACHE: Case = Case {
    packages: &["apache2", "apache2-bin", "apache2-data", "media-types"],
    made: &["/etc/apache2"],
    runs: "apache2",
    ..PLAIN
};
const HAPROXY: Case = Case { packages: &["haproxy"], runs: "haproxy", ..PLAIN };

const MARIADB_SCRIPT: &str = r#"#!/bin/bash
set -eo pipefail
if [ ! -d /var/lib/mysql/mysql ]; then
    mariadb-install-db --user=mysql --datadir=/var/lib/mysql >/dev/null
fi
chown -R mysql /run/mysqld
exec "$@"
"#;
const REDIS_SCRIPT: &str = r#"#!/bin/sh
set -e
if [ "${1#-}" != "$1" ] || [ "${1%.conf}" != "$1" ]; then
    set -- redis-server "$@"
fi
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    exec gosu redis "$0" "$@"
fi
exec "$@"
"#;
const LOOP: &str = "#!/bin/sh\nwhile true; do\n    sleep 1\ndone\n";
const STAYS: &str = "#!/bin/bash\nredis-server --port 6379\necho ended\n";
const TRAP_ONE_WAIT: &str = "trap 'kill $pid' TERM\nredis-server --port 6379 &\npid=$!\nwait $pid\n";
const TRAP_TWO_WAITS: &str =
    "trap 'kill $pid' TERM\nredis-server --port 6379 &\npid=$!\nwait $pid\ntrap - TERM\nwait $pid\n";
const TRAP_WAITS_ITSELF: &str = "#!/bin/bash\nstop() { kill -TERM \"$pid\"; wait \"$pid\"; exit 0; }\ntrap stop TERM\nredis-server --port 6379 &\npid=$!\nwait $pid\n";
const TRAP_EXIT: &str = "#!/bin/bash\ntrap 'exit 0' TERM\nredis-server --port 6379 &\nwait\n";
const TRAP_FOREGROUND: &str = "#!/bin/sh\ntrap 'echo bye; exit 0' TERM\nredis-server --port 6379\n";
const HANDLER: &str = "#!/usr/bin/python3\nimport signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\nwhile True:\n    signal.pause()\n";
const NO_HANDLER: &str = "#!/usr/bin/python3\nimport time\nwhile True:\n    time.sleep(1)\n";
const NODE_HANDLER: &str = "process.on('SIGTERM', () => process.exit(0)); setInterval(() => {}, 1000);\n";
const NODE_NO_HANDLER: &str = "setInterval(() => {}, 1000);\n";
const SUPERVISOR: &str = "[supervisord]\nnodaemon=true\nuser=root\n[program:redis]\ncommand=redis-server --port 6379\nstdout_logfile=/dev/stdout\nstdout_logfile_maxbytes=0\n";
const HAPROXY_CONFIG: &str = "defaults\n timeout connect 1s\n timeout client 1s\n timeout server 1s\n mode http\nfrontend f\n bind 127.0.0.1:8080\n";

/// Debian's services with their maintainers' start scripts.
const SERVICES: &[Case] = &[
    Case {
        name: "nginx",
        packages: &["nginx", "nginx-common"],
        made: &["/etc/nginx", "/var/lib/nginx", "/usr/lib/nginx", "/usr/share/nginx"],
        cmd: &["nginx", "-g", "daemon off;"],
        stop: "QUIT",
        runs: "nginx",
        ..PLAIN
    },
    Case { name: "redis", cmd: &["redis-server", "--port", "6379"], ..REDIS },
    Case {
        name: "postgres",
        cmd: &[
            "gosu",
            "postgres",
            "/usr/lib/postgresql/15/bin/postgres",
            "-D",
            "/var/lib/postgresql/15/main",
            "-c",
            "config_file=/etc/postgresql/15/main/postgresql.conf",
            "-c",
            "ssl=off",
        ],
        stop: "INT",
        ..POSTGRES
    },
    Case {
        name: "mariadb",
        files: &[("/entrypoint.sh", MARIADB_SCRIPT)],
        entrypoint: &["/entrypoint.sh"],
        cmd: &["mariadbd", "--user=mysql"],
        ..MARIADB
    },
    Case {
        name: "apache2",
        cmd: &[
            "env",
            "APACHE_RUN_DIR=/run/apache2",
            "APACHE_PID_FILE=/run/apache2.pid",
            "APACHE_RUN_USER=www-data",
            "APACHE_RUN_GROUP=www-data",
            "APACHE_LOG_DIR=/var/log/apache2",
            "APACHE_LOCK_DIR=/run/apache2",
            "apache2",
            "-D",
            "FOREGROUND",
        ],
        ..APACHE
    },
    Case { name: "apachectl", cmd: &["apachectl", "-D", "FOREGROUND"], told: "never", ..APACHE },
    Case {
        name: "php-fpm",
        packages: &["php8.2-fpm", "php8.2-common", "php8.2-cli"],
        made: &["/etc/php"],
        cmd: &["php-fpm8.2", "-F"],
        stop: "QUIT",
        runs: "php-fpm8.2",
        ..PLAIN
    },
    Case { name: "erl", cmd: &["erl", "-noinput"], ready: "", ..ERLANG },
    Case {
        name: "node",
        packages: &["nodejs"],
        files: &[("/app.js", NODE_NO_HANDLER)],
        cmd: &["node", "/app.js"],
        runs: "node",
        ..PLAIN
    },
    Case {
        name: "node with a handler",
        packages: &["nodejs"],
        files: &[("/app.js", NODE_HANDLER)],
        cmd: &["node", "/app.js"],
        runs: "node",
        ..PLAIN
    },
    Case { name: "python", files: &[("/app.py", NO_HANDLER)], cmd: &["python3", "/app.py"], ..PYTHON },
    Case {
        name: "python with a handler",
        files: &[("/app.py", HANDLER)],
        cmd: &["/app.py"],
        runs: "app.py",
        ..PYTHON
    },
    Case {
        name: "supervisord",
        packages: &[
            "supervisor",
            "python3-pkg-resources",
            "python3-minimal",
            "python3.11-minimal",
            "libpython3.11-minimal",
            "libpython3.11-stdlib",
            "redis-tools",
            "redis-server",
        ],
        files: &[("/etc/s.conf", SUPERVISOR)],
        cmd: &["supervisord", "-c", "/etc/s.conf"],
        ..REDIS
    },
    Case {
        name: "memcached",
        packages: &["memcached"],
        cmd: &["memcached", "-u", "root"],
        runs: "memcached",
        ..PLAIN
    },
    Case {
        name: "haproxy master",
        files: &[("/h.cfg", HAPROXY_CONFIG)],
        cmd: &["haproxy", "-W", "-db", "-f", "/h.cfg"],
        ..HAPROXY
    },
    Case {
        name: "haproxy alone",
        files: &[("/h.cfg", HAPROXY_CONFIG)],
        cmd: &["haproxy", "-db", "-f", "/h.cfg"],
        ..HAPROXY
    },
    Case { name: "cron", packages: &["cron"], cmd: &["cron", "-f"], runs: "cron", ..PLAIN },
    Case { name: "sleep", cmd: &["sleep", "infinity"], runs: "sleep", ..PLAIN },
    Case { name: "tail", cmd: &["tail", "-f", "/dev/null"], runs: "tail", ..PLAIN },
];

/// Common ways to start a service.
const WAYS: &[Case] = &[
    Case {
        name: "script with exec",
        files: &[("/entrypoint.sh", REDIS_SCRIPT)],
        entrypoint: &["/entrypoint.sh"],
        // Another user may not save files in the working directory.
        cmd: &["redis-server", "--save", ""],
        ..REDIS
    },
    Case {
        name: "script without exec",
        files: &[("/entrypoint.sh", STAYS)],
        entrypoint: &["/entrypoint.sh"],
        ..REDIS
    },
    Case { name: "tini", entrypoint: &["tini", "--"], cmd: &["redis-server", "--port", "6379"], ..REDIS },
    Case {
        name: "dumb-init",
        entrypoint: &["dumb-init", "--"],
        cmd: &["redis-server", "--port", "6379"],
        ..REDIS
    },
    Case {
        name: "tini, script that stays",
        files: &[("/entrypoint.sh", STAYS)],
        entrypoint: &["tini", "--"],
        cmd: &["/entrypoint.sh"],
        ..REDIS
    },
    Case {
        name: "dumb-init, script that stays",
        files: &[("/entrypoint.sh", STAYS)],
        entrypoint: &["dumb-init", "--"],
        cmd: &["/entrypoint.sh"],
        ..REDIS
    },
    Case { name: "dash -c", entrypoint: &["dash", "-c"], cmd: &["redis-server --port 6379"], ..REDIS },
    Case { name: "bash -c", entrypoint: &["bash", "-c"], cmd: &["redis-server --port 6379"], ..REDIS },
    Case {
        name: "busybox -c",
        entrypoint: &["busybox", "sh", "-c"],
        cmd: &["redis-server --port 6379"],
        ..REDIS
    },
    Case {
        name: "dash -c a && b",
        entrypoint: &["dash", "-c"],
        cmd: &["true && redis-server --port 6379"],
        ..REDIS
    },
    Case {
        name: "bash -c a && b",
        entrypoint: &["bash", "-c"],
        cmd: &["true && redis-server --port 6379"],
        ..REDIS
    },
    Case {
        name: "busybox -c a && b",
        entrypoint: &["busybox", "sh", "-c"],
        cmd: &["true && redis-server --port 6379"],
        ..REDIS
    },
    Case {
        name: "bash -c a; b",
        entrypoint: &["bash", "-c"],
        cmd: &["true; redis-server --port 6379"],
        ..REDIS
    },
    Case {
        name: "bash -c b 2>&1",
        entrypoint: &["bash", "-c"],
        cmd: &["redis-server --port 6379 2>&1"],
        ..REDIS
    },
    Case {
        name: "busybox -c b 2>&1",
        entrypoint: &["busybox", "sh", "-c"],
        cmd: &["redis-server --port 6379 2>&1"],
        ..REDIS
    },
    Case {
        name: "dash -c exec",
        entrypoint: &["dash", "-c"],
        cmd: &["exec redis-server --port 6379"],
        ..REDIS
    },
    Case {
        name: "loop",
        files: &[("/entrypoint.sh", LOOP)],
        entrypoint: &["/entrypoint.sh"],
        runs: "sleep",
        ..PLAIN
    },
    Case {
        name: "busybox loop",
        files: &[("/entrypoint.sh", LOOP)],
        entrypoint: &["busybox", "sh", "/entrypoint.sh"],
        runs: "sleep",
        ..PLAIN
    },
    Case {
        name: "dash, trap, one wait",
        files: &[("/s", TRAP_ONE_WAIT)],
        entrypoint: &["dash", "/s"],
        ..REDIS
    },
    Case {
        name: "bash, trap, one wait",
        files: &[("/s", TRAP_ONE_WAIT)],
        entrypoint: &["bash", "/s"],
        ..REDIS
    },
    Case {
        name: "busybox, trap, one wait",
        files: &[("/s", TRAP_ONE_WAIT)],
        entrypoint: &["busybox", "sh", "/s"],
        ..REDIS
    },
    Case {
        name: "dash, trap, two waits",
        files: &[("/s", TRAP_TWO_WAITS)],
        entrypoint: &["dash", "/s"],
        ..REDIS
    },
    Case {
        name: "bash, trap, two waits",
        files: &[("/s", TRAP_TWO_WAITS)],
        entrypoint: &["bash", "/s"],
        ..REDIS
    },
    Case {
        name: "busybox, trap, two waits",
        files: &[("/s", TRAP_TWO_WAITS)],
        entrypoint: &["busybox", "sh", "/s"],
        ..REDIS
    },
    Case { name: "trap that waits", files: &[("/s", TRAP_WAITS_ITSELF)], entrypoint: &["/s"], ..REDIS },
    Case { name: "trap that exits", files: &[("/s", TRAP_EXIT)], entrypoint: &["/s"], ..REDIS },
    Case {
        name: "trap beside a foreground",
        files: &[("/s", TRAP_FOREGROUND)],
        entrypoint: &["/s"],
        ..REDIS
    },
    Case {
        name: "python under tini",
        files: &[("/app.py", NO_HANDLER)],
        entrypoint: &["tini", "--"],
        cmd: &["python3", "/app.py"],
        ..PYTHON
    },
];

/// A line of the table, with the disagreements.
struct Row {
    line: String,
    definite: usize,
    wrong: Vec<String>,
}

fn compare(case: &Case, built: &Built) -> Row {
    let verdict = verdict(built);
    let seen = observe(case, built);
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("-").to_owned();
    let [way, holds, reaped, reaches] =
        ["way", "holds", "orphans_reaped", "term_reaches_service"].map(|field| text(&verdict[field]));
    let reaches_in_truth = seen.ended && seen.told;
    let mut wrong = Vec::new();
    let mut definite = 0;
    for (question, answer, truth) in
        [("orphans_reaped", &reaped, seen.zombies == 0), ("term_reaches_service", &reaches, reaches_in_truth)]
    {
        if answer == "yes" || answer == "no" {
            definite += 1;
            if (answer == "yes") != truth {
                wrong
                    .push(format!("{}: {question}: {answer}\n{}\n{seen:#?}", case.name, verdict["evidence"]));
            }
        }
    }
    let path = text(&verdict["pid1"]["path"]);
    if verdict["pid1"]["kind"] == "elf" && holds == "yes" && !is_program(built, &seen, &path) {
        wrong.push(format!("{}: pid1: {path}", case.name));
    }
    Row { line: line(case, &[&way, &holds, &reaped, &reaches], &seen, &path), definite, wrong }
}

/// Returns the row of a case that failed to run, which must not hide the others.
fn failed(case: &Case) -> Row {
    Row {
        line: format!("{:30} | failed", case.name),
        definite: 0,
        wrong: vec![format!("{}: see above", case.name)],
    }
}

fn line(case: &Case, verdict: &[&str; 4], seen: &Seen, path: &str) -> String {
    let [way, holds, reaped, reaches] = verdict;
    let stop = if seen.ended { format!("{:.1} s", seen.took.as_secs_f64()) } else { "killed".into() };
    let told = if seen.told { "told" } else { "not told" };
    format!(
        "{:30} | {way:7} {holds:7} | {reaped:7} {:2} zombies | {reaches:7} {:4} {stop:>6}, {told:8} | {path}",
        case.name, seen.zombies, case.stop
    )
}

/// Compares the images, and prints the table directly to standard error, because the test harness captures other
/// output.
fn none_disagrees(cases: &[Case], least: usize) {
    for program in ["unshare", "nsenter", "setpriv", "busybox", "dpkg", "tar"] {
        needs(program);
    }
    let id = support::run::tool("id", ["-u"]).run().line();
    assert_eq!(id, "0", "PID namespaces and chroot need root: run this test as root");
    let only = std::env::var("TRUTH").ok();
    let chosen = cases.iter().filter(|case| only.as_deref().is_none_or(|only| case.name.contains(only)));
    let rows = Mutex::new(Vec::new());
    support::at_once(4, chosen.enumerate(), |(number, case)| {
        let row = std::panic::catch_unwind(|| compare(case, &build(case))).unwrap_or_else(|_| failed(case));
        // Bypass the test harness, which captures other output.
        std::io::stderr().write_all(format!("{}\n", row.line).as_bytes()).expect("standard error");
        rows.lock().expect("no panic with the lock").push((number, row));
    });
    let mut rows = rows.into_inner().expect("no panic with the lock");
    rows.sort_by_key(|(number, _)| *number);
    let mut table =
        String::from("image | way, holds | orphans reaped | stop signal reaches the service | PID 1\n");
    for (_, row) in &rows {
        writeln!(table, "{}", row.line).expect("text in memory");
    }
    std::io::stderr().write_all(table.as_bytes()).expect("standard error");
    let wrong: Vec<&str> = rows.iter().flat_map(|(_, row)| row.wrong.iter().map(String::as_str)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let definite: usize = rows.iter().map(|(_, row)| row.definite).sum();
    assert!(only.is_some() || definite >= least, "only {definite} definite answers");
}

#[test]
fn inspect_is_right_about_services_of_debian() {
    none_disagrees(SERVICES, 26);
}

#[test]
fn inspect_is_right_about_ways_to_start_a_service() {
    none_disagrees(WAYS, 48);
}
