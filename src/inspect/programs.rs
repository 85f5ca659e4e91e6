//! The known facts about programs as PID 1: whether they reap orphans, and whether they act on the stop signal.

use crate::inspect::files::{Mark, Marks};
use crate::inspect::verdict::Answer::{self, No, Unknown, Yes};

/// The facts about a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Whether it reaps children that it did not start.
    pub reaps: Answer,
    /// Whether it acts on SIGTERM as PID 1.
    pub term: Answer,
    /// The other signals that it acts on.
    pub also: &'static [&'static str],
}

/// The facts about an unknown program.
pub const NOTHING: Facts = Facts { reaps: Unknown, term: Unknown, also: &[] };

const fn facts(reaps: Answer, term: Answer, also: &'static [&'static str]) -> Facts {
    Facts { reaps, term, also }
}

const QUICK: &[&str] = &["INT"];
const GRACEFUL: &[&str] = &["QUIT", "INT"];

/// Known programs by name. A version at the end of a name is removed before the lookup.
const BY_NAME: &[(&[&str], Facts)] = &[
    (&["nginx", "openresty"], facts(Yes, Yes, GRACEFUL)),
    (&["postgres", "postmaster"], facts(Yes, Yes, GRACEFUL)),
    (&["supervisord"], facts(Yes, Yes, GRACEFUL)),
    (&["apache2", "httpd"], facts(Yes, Yes, &["WINCH", "INT"])),
    (&["php-fpm"], facts(Yes, Yes, GRACEFUL)),
    (&["sshd"], facts(Yes, Yes, &[])),
    (&["gunicorn"], facts(Yes, Yes, GRACEFUL)),
    (&["cron"], facts(Yes, Unknown, &[])),
    (
        &["redis-server", "redis-sentinel", "valkey-server", "valkey-sentinel", "memcached"],
        facts(No, Yes, QUICK),
    ),
    (&["mariadbd", "mysqld"], facts(No, Yes, &[])),
    (&["mongod", "mongos"], facts(No, Yes, QUICK)),
    (&["java"], facts(No, Yes, QUICK)),
    (&["node", "nodejs"], facts(No, Unknown, &[])),
    (&["python", "pypy"], facts(No, Unknown, QUICK)),
    (&["perl"], facts(No, Unknown, &[])),
    (&["ruby"], facts(No, Yes, QUICK)),
    (&["sleep", "tail", "cat"], facts(No, No, &[])),
    (&["npm", "npx", "yarn", "yarnpkg", "pnpm"], facts(No, Unknown, &[])),
    (&["uvicorn"], facts(No, Yes, QUICK)),
    (&["celery"], facts(Unknown, Yes, GRACEFUL)),
    (&["puma", "rails", "rackup", "sidekiq"], facts(Unknown, Yes, QUICK)),
    (&["unicorn"], facts(Yes, Yes, GRACEFUL)),
    (&["dotnet"], facts(Unknown, Yes, QUICK)),
    (&["beam.smp", "erl", "erlexec"], facts(Unknown, Yes, &[])),
    (&["varnishd", "slapd", "named", "dnsmasq", "dovecot"], facts(Unknown, Yes, &[])),
    (
        &[
            "etcd",
            "traefik",
            "caddy",
            "prometheus",
            "alertmanager",
            "node_exporter",
            "grafana",
            "grafana-server",
            "minio",
            "influxd",
            "coredns",
            "telegraf",
            "loki",
            "promtail",
            "cloudflared",
            "nats-server",
            "registry",
        ],
        facts(No, Yes, QUICK),
    ),
];

/// Programs that wait for the one child that they start, with their reaction to SIGTERM meanwhile.
const PARENTS: &[(&[&str], Facts)] = &[
    (&["timeout", "su", "runuser"], facts(No, Yes, &[])),
    (&["xargs", "flock", "time"], facts(No, No, &[])),
];

/// Returns the facts about a program that starts a child and waits for it.
pub fn parent(name: &str) -> Facts {
    PARENTS.iter().find(|(names, _)| names.contains(&name)).map_or(NOTHING, |(_, facts)| *facts)
}

/// Returns a program's name without a version at its end, as in `php-fpm8.2` and `python3.11`.
pub fn without_version(name: &str) -> &str {
    let short = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').trim_end_matches('-');
    if matches!(
        short,
        "php-fpm" | "python" | "pypy" | "ruby" | "perl" | "node" | "java" | "gunicorn" | "puma"
    ) {
        short
    } else {
        name
    }
}

/// Returns the facts about a program with these names, arguments and marks.
pub fn known(names: &[&str], args: &[Option<String>], marks: Marks) -> Option<Facts> {
    let named = names.iter().map(|name| without_version(name));
    let has = |option: &str| args.iter().flatten().any(|arg| arg == option);
    for name in named {
        match name {
            "haproxy" if has("-W") || has("-Ws") => return Some(facts(Yes, Yes, &["USR1", "INT"])),
            "haproxy" => return Some(facts(No, Unknown, &[])),
            "uwsgi" => {
                return Some(facts(Unknown, if has("--die-on-term") { Yes } else { Unknown }, GRACEFUL));
            }
            _ => {}
        }
        if let Some((_, facts)) = BY_NAME.iter().find(|(known, _)| known.contains(&name)) {
            return Some(*facts);
        }
    }
    by_content(marks)
}

fn by_content(marks: Marks) -> Option<Facts> {
    match () {
        () if marks.has(Mark::Nginx) => Some(facts(Yes, Yes, GRACEFUL)),
        () if marks.has(Mark::Postgres) => Some(facts(Yes, Yes, GRACEFUL)),
        () if marks.has(Mark::Redis) || marks.has(Mark::Valkey) => Some(facts(No, Yes, QUICK)),
        () if marks.has(Mark::GoReaper) => Some(facts(Unknown, Yes, QUICK)),
        () if marks.has(Mark::Go) => Some(facts(No, Yes, QUICK)),
        () => None,
    }
}

/// Returns the name of a signal without `SIG`; numbers become names.
pub fn signal(text: &str) -> String {
    let text = text.trim().to_ascii_uppercase();
    let text = text.strip_prefix("SIG").unwrap_or(&text);
    let number = match text {
        "1" => "HUP",
        "2" => "INT",
        "3" => "QUIT",
        "9" => "KILL",
        "10" => "USR1",
        "12" => "USR2",
        "15" | "" => "TERM",
        "28" => "WINCH",
        "37" => "RTMIN+3",
        other => other,
    };
    number.into()
}

impl Facts {
    /// Returns whether the program acts on a signal, as PID 1 or as another process.
    pub fn acts_on(&self, signal: &str, is_pid1: bool) -> Answer {
        let is_fatal = matches!(signal, "TERM" | "INT" | "QUIT" | "HUP" | "USR1" | "USR2");
        match signal {
            "KILL" => No,
            // Without a handler, SIGTERM ends any process except PID 1.
            "TERM" if !is_pid1 => Yes,
            "TERM" => self.term,
            signal if self.also.contains(&signal) => Yes,
            _ if self.term == No && is_pid1 => No,
            _ if self.term == No && is_fatal => Yes,
            _ => Unknown,
        }
    }
}

/// The reaction of an init to SIGTERM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Forwards the signal to its child.
    Forward,
    /// Forwards the signal to its child's process group.
    ForwardToGroup,
    /// Forwards the signal to its child, and sends it to the remaining processes when the child has ended.
    ForwardToAll,
    /// Stops the services that it manages.
    Stops,
    /// Ends, or continues, without forwarding the signal.
    Drops,
    /// Unknown.
    Unknown,
}

/// A known init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Init {
    /// A description.
    pub name: &'static str,
    /// The reaction to SIGTERM.
    pub stop: Stop,
    /// Whether it refuses to run unless it is PID 1.
    pub must_be_pid1: bool,
    /// The letters of options that take a value, if it runs a command.
    pub command: Option<&'static str>,
}

const fn init(name: &'static str, stop: Stop, must_be_pid1: bool, command: Option<&'static str>) -> Init {
    Init { name, stop, must_be_pid1, command }
}

const TINI: Init = init("tini", Stop::Forward, false, Some("pe"));
const DUMB_INIT: Init = init("dumb-init", Stop::ForwardToGroup, false, Some("r"));
/// reapify's reaper.
pub const REAPIFY: Init = init("reapify's reaper", Stop::ForwardToAll, false, Some("pert"));
const S6_OVERLAY: Init = init("s6-overlay", Stop::Stops, true, None);

const INITS: &[(&[&str], Init)] = &[
    (&["tini", "tini-static", "docker-init"], TINI),
    (&["dumb-init"], DUMB_INIT),
    (&["catatonit", "podman-init"], init("catatonit", Stop::Forward, false, Some(""))),
    (&["tino"], init("tino", Stop::Unknown, false, Some(""))),
    (&["pid1", "pid1-exe"], init("pid1", Stop::Forward, false, Some("uewt"))),
    (&["go-init"], init("go-init", Stop::Unknown, false, None)),
    (&["my_init"], init("my_init of phusion/baseimage", Stop::Stops, false, None)),
    (&["s6-overlay-suexec", "s6-overlay-init"], S6_OVERLAY),
    (&["s6-svscan", "s6-linux-init"], init("s6", Stop::Unknown, false, None)),
    (&["runit-init", "runit"], init("runit", Stop::Unknown, true, None)),
    (&["runsvdir", "runsvdir-start"], init("runit", Stop::Drops, false, None)),
    (&["openrc-init"], init("OpenRC", Stop::Unknown, true, None)),
    (&["dinit"], init("dinit", Stop::Stops, false, None)),
    (&["systemd"], init("systemd", Stop::Drops, true, None)),
    (&["pause"], init("the Kubernetes pause program", Stop::Unknown, false, None)),
];

/// BusyBox's init.
pub const BUSYBOX_INIT: Init = init("BusyBox's init", Stop::Unknown, true, None);

/// Returns the init that a program is, from its names, its path as written, and its content.
pub fn known_init(names: &[&str], path: Option<&str>, marks: Marks, is_script: bool) -> Option<Init> {
    let of_content = match () {
        () if marks.has(Mark::Reapify) => Some(REAPIFY),
        () if marks.has(Mark::BusyBox) => None,
        () if marks.has(Mark::Tini) => Some(TINI),
        () if marks.has(Mark::DumbInit) && !marks.has(Mark::Go) => Some(DUMB_INIT),
        () => None,
    };
    if of_content.is_some() {
        return of_content;
    }
    if path == Some("/init") && !is_script {
        return Some(S6_OVERLAY);
    }
    let is_system_init =
        matches!(path, Some("/sbin/init" | "/usr/sbin/init" | "/bin/init" | "/usr/bin/init"));
    if is_system_init && !is_script && !marks.has(Mark::BusyBox) && !names.contains(&"systemd") {
        return Some(init("an init system", Stop::Unknown, true, None));
    }
    let named =
        |name: &&str| INITS.iter().find(|(known, _)| known.contains(&released(name))).map(|(_, init)| *init);
    names.iter().find_map(named)
}

/// Returns the plain name of a program whose file name includes its version and machine.
fn released(name: &str) -> &str {
    match name.split_once(['-', '_']) {
        Some(("tini", rest)) if rest.split('-').all(|part| TARGETS.contains(&part)) => "tini",
        Some(("dumb", rest)) if rest.starts_with("init_") => "dumb-init",
        _ => name,
    }
}

const TARGETS: [&str; 13] = [
    "static", "muslc", "amd64", "x86_64", "i386", "arm64", "aarch64", "armel", "armhf", "ppc64el", "ppc64le",
    "riscv64", "s390x",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removes_versions_from_names() {
        for (name, short) in
            [("php-fpm8.2", "php-fpm"), ("python3.11", "python"), ("python3", "python"), ("s6", "s6")]
        {
            assert_eq!(without_version(name), short);
        }
    }

    #[test]
    fn haproxy_reaps_only_with_a_master() {
        let args = |words: &[&str]| words.iter().map(|word| Some((*word).to_string())).collect::<Vec<_>>();
        let reaps =
            |words: &[&str]| known(&["haproxy"], &args(words), Marks::default()).map(|facts| facts.reaps);
        assert_eq!(reaps(&["-W", "-db"]), Some(Yes));
        assert_eq!(reaps(&["-f", "x"]), Some(No));
    }

    #[test]
    fn normalizes_signal_names() {
        assert_eq!(signal("SIGQUIT"), "QUIT");
        assert_eq!(signal("3"), "QUIT");
        assert_eq!(signal(""), "TERM");
    }

    #[test]
    fn only_pid_1_ignores_signals_without_a_handler() {
        let sleep = known(&["sleep"], &[], Marks::default()).unwrap();
        assert_eq!(sleep.acts_on("TERM", true), No);
        assert_eq!(sleep.acts_on("TERM", false), Yes);
        let postgres = known(&["postgres"], &[], Marks::default()).unwrap();
        assert_eq!(postgres.acts_on("INT", true), Yes);
        assert_eq!(postgres.acts_on("USR2", true), Unknown);
    }
}
