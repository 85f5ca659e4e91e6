//! Known programs by name, and their behaviour as PID 1. Every entry was measured or is documented.

use super::command::Answer::{self, Depends, No, Unknown, Yes};

/// The behaviour of a program as PID 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traits {
    /// Whether it reaps orphans.
    pub reaps: Answer,
    /// Whether it reacts to SIGTERM as PID 1.
    pub heeds_term: Answer,
}

/// Programs that are always binaries.
const KNOWN: [(&str, Answer, Answer); 44] = [
    ("nginx", Yes, Yes),
    ("supervisord", Yes, Yes),
    ("apache2", Yes, Yes),
    ("httpd", Yes, Yes),
    ("postgres", Yes, Yes),
    ("cron", Yes, Unknown),
    ("php-fpm", Yes, Yes),
    ("redis-server", No, Yes),
    ("memcached", No, Yes),
    ("mariadbd", No, Yes),
    ("mysqld", No, Yes),
    ("java", No, Yes),
    ("node", No, Depends),
    ("nodejs", No, Depends),
    ("python", No, Depends),
    ("python2", No, Depends),
    ("python3", No, Depends),
    ("perl", No, Depends),
    ("ruby", Unknown, Depends),
    ("sleep", No, No),
    ("tail", No, No),
    ("haproxy", Unknown, Unknown),
    ("envoy", Unknown, Yes),
    ("etcd", Unknown, Yes),
    ("kube-apiserver", Unknown, Yes),
    ("kube-controller-manager", Unknown, Yes),
    ("kube-scheduler", Unknown, Yes),
    ("kube-proxy", Unknown, Yes),
    ("kubelet", Unknown, Yes),
    ("coredns", Unknown, Yes),
    ("traefik", Unknown, Yes),
    ("caddy", Unknown, Yes),
    ("dotnet", No, Yes),
    ("mongod", Unknown, Yes),
    ("cp", No, No),
    ("chown", No, No),
    ("chmod", No, No),
    ("sysctl", No, No),
    ("true", No, No),
    ("cat", No, No),
    ("mkdir", No, No),
    ("curl", No, Unknown),
    ("wget", No, Unknown),
    ("kubectl", Unknown, Unknown),
];

/// Launchers that start the service as their child, and do not reap.
const LAUNCHERS: [&str; 5] = ["npm", "npx", "yarn", "pnpm", "bunx"];

/// Returns the traits of a known program.
pub(crate) fn known(name: &str) -> Option<Traits> {
    let base = version_cut(name);
    let found = KNOWN.iter().find(|(known, ..)| *known == name || *known == base)?;
    Some(Traits { reaps: found.1, heeds_term: found.2 })
}

/// Returns a program's name without a version, as in `python3.11` and `php-fpm8.2`.
fn version_cut(name: &str) -> &str {
    let cut = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if cut.is_empty() { name } else { cut }
}

/// Returns whether a program is a launcher of a package manager.
pub(crate) fn is_launcher(name: &str) -> bool {
    LAUNCHERS.contains(&name)
}

/// A known init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Init {
    pub name: &'static str,
    /// Whether it refuses to run, or does harm, unless it is PID 1.
    pub insists: bool,
    /// Whether it is one of our reapers.
    pub is_reaper: bool,
    /// The letters of options that take a value.
    pub with_value: &'static str,
}

const INITS: [(&str, bool, &str); 16] = [
    ("tini", false, "pe"),
    ("tini-static", false, "pe"),
    ("docker-init", false, "pe"),
    ("dumb-init", false, "r"),
    ("catatonit", false, ""),
    ("podman-init", false, ""),
    ("tino", false, "pe"),
    ("pid1", false, ""),
    ("my_init", true, ""),
    ("s6-svscan", true, ""),
    ("s6-linux-init", true, ""),
    ("s6-overlay-suexec", true, ""),
    ("runit-init", true, ""),
    ("runsvdir", false, ""),
    ("systemd", true, ""),
    ("openrc-init", true, ""),
];

/// Returns the init that a program is, from its path.
pub(crate) fn init(path: &str) -> Option<Init> {
    let name = file_name(path);
    if name == ".reaper" {
        return Some(Init { name: "reaper", insists: false, is_reaper: true, with_value: "tpre" });
    }
    if matches!(path, "/init" | "/sbin/init" | "/usr/sbin/init" | "/lib/systemd/systemd") {
        return Some(Init { name: "init", insists: true, is_reaper: false, with_value: "" });
    }
    let (name, insists, with_value) = *INITS.iter().find(|(known, ..)| *known == name)?;
    Some(Init { name, insists, is_reaper: false, with_value })
}

/// Returns the last component of a path.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// A kind of shell, by its treatment of the last command of `-c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    Bash,
    Dash,
    Busybox,
    /// `sh`, which may be any of them.
    Any,
}

/// Returns the shell that a program is.
pub(crate) fn shell(path: &str) -> Option<Shell> {
    match file_name(path) {
        "bash" => Some(Shell::Bash),
        "dash" => Some(Shell::Dash),
        "ash" => Some(Shell::Busybox),
        "sh" => Some(Shell::Any),
        _ => None,
    }
}

/// Returns whether a shell runs this command without a process of its own.
pub(crate) fn is_builtin(name: &str) -> bool {
    const BUILTINS: [&str; 22] = [
        ":", "true", "false", "echo", "printf", "cd", "export", "set", "unset", "wait", "read", "trap",
        "exit", "return", "test", "[", "[[", "shift", "umask", "ulimit", "local", "kill",
    ];
    BUILTINS.contains(&name)
}

/// Returns whether a program starts no children that outlive it, so that a probe that runs it directly leaves no
/// orphans.
pub(crate) fn is_leaf(name: &str) -> bool {
    const LEAVES: [&str; 34] = [
        "cat",
        "test",
        "[",
        "true",
        "false",
        "ls",
        "stat",
        "grep",
        "sleep",
        "echo",
        "kill",
        "pidof",
        "pgrep",
        "pkill",
        "killall",
        "touch",
        "rm",
        "curl",
        "wget",
        "nc",
        "ncat",
        "redis-cli",
        "valkey-cli",
        "pg_isready",
        "mysqladmin",
        "mariadb-admin",
        "grpc_health_probe",
        "grpc-health-probe",
        "etcdctl",
        "nginx",
        "head",
        "tail",
        "nslookup",
        "date",
    ];
    LEAVES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{Marks, programs};

    #[test]
    fn agrees_with_inspect_about_programs() {
        for (name, reaps, term) in KNOWN {
            let Some(facts) = programs::known(&[name], &[], Marks::default()) else { continue };
            for (ours, theirs) in [(reaps, facts.reaps), (term, facts.term)] {
                let differ = matches!((ours, theirs), (Yes, No) | (No, Yes));
                assert!(!differ, "{name}: {ours:?} here, {theirs:?} there");
            }
        }
    }

    #[test]
    fn lists_the_same_inits_as_inspect() {
        for (name, ..) in INITS {
            assert!(programs::known_init(&[name], None, Marks::default(), false).is_some(), "{name}");
        }
    }
}
