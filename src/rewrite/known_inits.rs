//! Programs that already reap, or must be PID 1: images that start one are not wrapped.

use super::script;
use crate::image::ImageConfig;
use std::fmt;

/// The version of the rules in this file. It is part of the recipe, because the rules determine what wrap does.
pub const VERSION: u32 = 3;

/// A known init that an image starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownInit {
    /// A description of the init.
    pub what: &'static str,
    /// The word that names the init in Entrypoint, in Cmd, or in a command line within them.
    pub word: String,
}

impl fmt::Display for KnownInit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

/// How reliably a file name identifies an init.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    /// Only an init has this name: an absolute path with it counts in any position.
    Distinct,
    /// Directories and routes may have this name: as an argument it counts only in a directory of programs.
    Common,
    /// Many programs have this name: it counts without a directory and in the system's program directories.
    Vague,
    /// Counts only as the program that is started, not as an argument.
    Program,
}

/// Known inits by file name. Shells, supervisord and language launchers are not listed, because they do not reap
/// orphans.
const BY_NAME: [(&str, Name, &str); 25] = [
    ("tini", Name::Distinct, "tini"),
    ("docker-init", Name::Distinct, "Docker's init, tini"),
    ("podman-init", Name::Distinct, "podman's init, catatonit"),
    ("catatonit", Name::Distinct, "catatonit"),
    ("dumb-init", Name::Distinct, "dumb-init"),
    ("s6-svscan", Name::Distinct, "s6"),
    ("s6-overlay-suexec", Name::Distinct, "s6-overlay"),
    ("s6-linux-init", Name::Distinct, "s6"),
    ("runit-init", Name::Distinct, "runit"),
    ("runsvdir", Name::Distinct, "runit"),
    ("runsvdir-start", Name::Distinct, "runit"),
    ("my_init", Name::Distinct, "my_init of phusion/baseimage"),
    ("tino", Name::Distinct, "tino"),
    ("go-init", Name::Distinct, "go-init"),
    ("openrc-init", Name::Distinct, "OpenRC"),
    ("dinit", Name::Common, "dinit"),
    ("runit", Name::Common, "runit"),
    ("pid1", Name::Common, "pid1"),
    ("pid1-exe", Name::Common, "pid1"),
    ("systemd", Name::Common, "systemd"),
    ("systemctl", Name::Common, "systemctl, a replacement for systemd"),
    ("systemctl3.py", Name::Distinct, "systemctl, a replacement for systemd"),
    ("k3s", Name::Common, "k3s"),
    ("init", Name::Vague, "an init system"),
    ("pause", Name::Program, "the Kubernetes pause program"),
];

/// Inits that are identified by their full path.
const BY_PATH: [(&str, &str); 2] =
    [("/init", "s6-overlay or another init at /init"), ("/linuxrc", "BusyBox's init")];

/// The directories of system programs.
const SYSTEM: [&str; 4] = ["/sbin", "/bin", "/usr/sbin", "/usr/bin"];

/// The maximum depth of command lines within command lines.
const MAX_DEPTH: usize = 4;

/// Returns the init that an image starts, if its Entrypoint and Cmd name a known one. Layers are not read.
pub fn of(config: &ImageConfig) -> Option<KnownInit> {
    let entrypoint = if config.has_entrypoint() { config.entrypoint.as_slice() } else { &[] };
    let words: Vec<&str> = entrypoint.iter().chain(&config.cmd).map(String::as_str).collect();
    let start = At { directory: Some(&config.working_dir), depth: 0 };
    start.started(&words).or_else(|| (1..words.len()).find_map(|at| start.deeper().argument(&words[at..])))
}

/// The place of a command line.
#[derive(Clone, Copy)]
struct At<'a> {
    /// The working directory, if it is known; an empty one is the root.
    directory: Option<&'a str>,
    /// The number of command lines around this one.
    depth: usize,
}

impl At<'_> {
    fn deeper(self) -> Self {
        At { depth: self.depth + 1, ..self }
    }

    /// Returns the init that a command line starts, directly or through `env`, BusyBox or a shell's `exec`.
    fn started(self, words: &[&str]) -> Option<KnownInit> {
        let (program, arguments) = words.split_first().filter(|_| self.depth < MAX_DEPTH)?;
        match file_name(program) {
            "env" => self.started_by_env(arguments),
            "busybox" if matches!(arguments.first(), Some(&("init" | "linuxrc"))) => {
                Some(KnownInit { what: "BusyBox's init", word: format!("{program} {}", arguments[0]) })
            }
            "busybox" => self.deeper().started(arguments),
            name if is_shell(name) => script::executed(command_string(arguments)?, |words, is_elsewhere| {
                let directory = self.directory.filter(|_| !is_elsewhere);
                At { directory, ..self.deeper() }.started(words)
            }),
            _ => known(program, self.directory, Role::Program),
        }
    }

    /// Returns the init that `env` starts.
    fn started_by_env(mut self, mut arguments: &[&str]) -> Option<KnownInit> {
        while let Some((word, rest)) = arguments.split_first().filter(|_| self.depth < MAX_DEPTH) {
            if *word == "--" {
                arguments = rest;
                break;
            }
            let Some((letter, value)) = option_of_env(word) else { break };
            let (value, rest) = match value {
                Some(value) => (value, rest),
                None => rest.split_first().map(|(value, rest)| (*value, rest))?,
            };
            match letter {
                'S' => {
                    let words: Vec<&str> = value.split_whitespace().chain(rest.iter().copied()).collect();
                    return self.deeper().started_by_env(&words);
                }
                'C' => self.directory = None,
                _ => {}
            }
            arguments = rest;
        }
        let assignments = arguments.iter().take_while(|word| word.contains('=')).count();
        self.deeper().started(&arguments[assignments..])
    }

    /// Returns the init that an argument of a command line starts: named with its full path, or run by a shell, `env`
    /// or BusyBox.
    fn argument(self, words: &[&str]) -> Option<KnownInit> {
        let word = words.first()?;
        let is_path = word.starts_with('/');
        match file_name(word) {
            "env" | "busybox" if is_path => self.started(words),
            name if is_shell(name) => self.started(words),
            _ if is_path => known(word, None, Role::Argument),
            _ => None,
        }
    }
}

/// Returns the letter of an option of `env`, and its value: empty for an option without one, `None` if it is the next
/// word. Returns `None` for other words.
fn option_of_env(word: &str) -> Option<(char, Option<&str>)> {
    const FLAG: (char, Option<&str>) = ('i', Some(""));
    let letters = word.strip_prefix('-')?;
    if let Some(long) = letters.strip_prefix('-') {
        let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
        return Some(match name {
            "split-string" => ('S', value),
            "unset" => ('u', value),
            "chdir" => ('C', value),
            "argv0" => ('a', value),
            _ => FLAG,
        });
    }
    let takes_value = |(_, letter): &(usize, char)| matches!(letter, 'S' | 'u' | 'C' | 'a' | 'P');
    Some(letters.char_indices().find(takes_value).map_or(FLAG, |(at, letter)| {
        let value = &letters[at + 1..];
        (letter, Some(value).filter(|value| !value.is_empty()))
    }))
}

/// Returns the command line passed to a shell with `-c`.
fn command_string<'w>(arguments: &[&'w str]) -> Option<&'w str> {
    let mut has_c = false;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix(['-', '+']) else { return has_c.then_some(word) };
        match letters {
            "" | "-" => return words.next().filter(|_| has_c).copied(),
            "-rcfile" | "-init-file" => _ = words.next(),
            long if long.starts_with('-') => {}
            letters => {
                has_c |= letters.contains('c');
                // Each of these takes the name of an option as its argument.
                letters.matches(['o', 'O']).for_each(|_| _ = words.next());
            }
        }
    }
    None
}

/// The role of a word in a command line.
#[derive(PartialEq, Eq)]
enum Role {
    Program,
    Argument,
}

fn known(word: &str, directory: Option<&str>, role: Role) -> Option<KnownInit> {
    let found = |what: &'static str| Some(KnownInit { what, word: word.into() });
    let place = absolute(word, directory);
    let place = place.as_deref().unwrap_or(word);
    if let Some((_, what)) = BY_PATH.iter().find(|(path, _)| *path == place) {
        return found(what);
    }
    let (directory, file) = place.rsplit_once('/').map_or((None, place), |(above, file)| (Some(above), file));
    let name = without_release(file);
    let (_, kind, what) = BY_NAME.iter().find(|(known, ..)| *known == name)?;
    let is_in = |ends: &[&str]| directory.is_some_and(|above| ends.iter().any(|end| above.ends_with(end)));
    let counts = match kind {
        Name::Distinct => true,
        Name::Common => role == Role::Program || is_in(&["/bin", "/sbin", "/lib/systemd"]),
        Name::Vague => directory.is_none_or(|above| SYSTEM.contains(&above)),
        Name::Program => role == Role::Program,
    };
    if counts { found(what) } else { None }
}

/// Returns the absolute path of a program, without empty parts and `.`; `None` if the word is a name to search for, or
/// relative to an unknown directory.
fn absolute(word: &str, directory: Option<&str>) -> Option<String> {
    let above = match word.starts_with('/') {
        true => "",
        false => directory.filter(|_| word.contains('/'))?,
    };
    let parts = above.split('/').chain(word.split('/'));
    Some(parts.filter(|part| !matches!(*part, "" | ".")).fold(String::new(), |path, part| path + "/" + part))
}

/// Returns the plain name of a program whose file name includes its version and machine.
fn without_release(name: &str) -> &str {
    const OF_TINI: [&str; 14] = [
        "static", "muslc", "amd64", "x86_64", "i386", "arm64", "aarch64", "armel", "armhf", "mips64el",
        "ppc64el", "ppc64le", "riscv64", "s390x",
    ];
    let is_tini = |rest: &str| rest.split('-').all(|part| OF_TINI.contains(&part));
    match name.split_once(['-', '_']) {
        Some(("tini", rest)) if is_tini(rest) => "tini",
        Some(("dumb", rest)) if rest.starts_with("init_") => "dumb-init",
        _ => name,
    }
}

fn is_shell(name: &str) -> bool {
    matches!(name, "sh" | "ash" | "bash" | "dash" | "ksh" | "mksh" | "zsh")
}

fn file_name(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(entrypoint: &[&str], cmd: &[&str]) -> Option<KnownInit> {
        let list = |words: &[&str]| serde_json::to_string(words).unwrap();
        let (entrypoint, cmd) = (list(entrypoint), list(cmd));
        let text = format!(r#"{{"config":{{"Entrypoint":{entrypoint},"Cmd":{cmd}}},"rootfs":{{}}}}"#);
        of(&ImageConfig::parse(text).unwrap())
    }

    #[test]
    fn finds_inits() {
        let cases: &[(&[&str], &[&str], &str)] = &[
            (&["tini", "--", "x"], &[], "tini"),
            (&["/sbin/tini", "-g", "--"], &["x"], "/sbin/tini"),
            (
                &["/opt/bitnami/common/bin/tini-static-arm64", "--", "x"],
                &[],
                "/opt/bitnami/common/bin/tini-static-arm64",
            ),
            (&["/tini-muslc-amd64"], &[], "/tini-muslc-amd64"),
            (&["/dumb-init_1.2.5_x86_64", "x"], &[], "/dumb-init_1.2.5_x86_64"),
            (&["/init"], &[], "/init"),
            (&[], &["/init"], "/init"),
            (&[""], &["/init"], "/init"),
            (&["init"], &[], "init"),
            (&[], &["/lib/systemd/systemd"], "/lib/systemd/systemd"),
            (&["/usr/lib/systemd/systemd", "--system"], &[], "/usr/lib/systemd/systemd"),
            (&["/sbin/my_init"], &["--quiet"], "/sbin/my_init"),
            (&["/sbin/runit-init"], &[], "/sbin/runit-init"),
            (&["/command/s6-svscan", "/run/service"], &[], "/command/s6-svscan"),
            (&["/pause"], &[], "/pause"),
            (&["/linuxrc"], &[], "/linuxrc"),
            (&["/usr/bin/systemctl"], &[], "/usr/bin/systemctl"),
            (&["systemctl", "start", "nginx"], &[], "systemctl"),
            (&["/bin/k3s"], &["agent"], "/bin/k3s"),
            (&["k3s", "server"], &[], "k3s"),
            // A word with a full path, in any position.
            (&["/usr/local/bin/entrypoint", "/sbin/init"], &[], "/sbin/init"),
            (&["/usr/local/bin/entrypoint"], &["/sbin/init"], "/sbin/init"),
            (&["/entrypoint.sh", "/usr/bin/tini", "--"], &["x"], "/usr/bin/tini"),
            (&["/entrypoint.sh"], &["/linuxrc"], "/linuxrc"),
            (&["/entrypoint.sh"], &["/lib/systemd/systemd"], "/lib/systemd/systemd"),
            (&["/entrypoint.sh"], &["/usr/bin/systemctl", "default"], "/usr/bin/systemctl"),
            (&["/entrypoint.sh"], &["/usr/local/bin/k3s", "server"], "/usr/local/bin/k3s"),
            (&["gosu", "app", "/usr/bin/dumb-init", "x"], &[], "/usr/bin/dumb-init"),
            (&["/bin/sh", "-c", "exec \"$@\"", "--"], &["/sbin/tini", "x"], "/sbin/tini"),
            // A shell that executes an init.
            (&["/bin/sh", "-c", "exec tini -- x"], &[], "tini"),
            (&["/bin/sh", "-c"], &["exec /usr/bin/tini -- x"], "/usr/bin/tini"),
            (&[], &["sh", "-c", "mkdir -p /run/x && exec /sbin/init"], "/sbin/init"),
            (&["bash", "-lc", "set -e; A=1 B='x y' exec dumb-init x"], &[], "dumb-init"),
            (&["bash", "--login", "-euo", "pipefail", "-c", "exec -a name tini x"], &[], "tini"),
            (&["bash", "-ceo", "pipefail", "exec tini"], &[], "tini"),
            (&["sh", "-c", "if true; then\n  exec 'tini' -- x\nfi"], &[], "tini"),
            (&["sh", "-c", "{ exec tini; }"], &[], "tini"),
            (&["sh", "-c", "exec >/log 2>&1 tini"], &[], "tini"),
            (&["sh", "-c", "exec > /log 2>&1; exec 2>> /log &>/x tini"], &[], "tini"),
            (&["sh", "-c", "exec env -u A B=1 tini"], &[], "tini"),
            (&["sh", "-c", "exec sh -c 'exec tini'"], &[], "tini"),
            (&["sh", "-c", "exec init"], &[], "init"),
            (&["sh", "-c", "# exec x\nexec \\\n  tini"], &[], "tini"),
            (&["/docker-entrypoint.sh"], &["sh", "-c", "exec tini -- x"], "tini"),
            (&["/bin/busybox", "sh", "-c", "exec tini"], &[], "tini"),
            (&["bash", "-O", "extglob", "-c", "exec tini"], &[], "tini"),
            (
                &["bash", "+O", "extglob", "--rcfile", "/rc", "--init-file", "x", "-c", "exec tini"],
                &[],
                "tini",
            ),
            (&["sh", "-c", "f() { exec tini; }; g() { f; }; g"], &[], "tini"),
            (&["sh", "-c", "[ -x /sbin/tini ] && exec tini; exec app"], &[], "tini"),
            (&["sh", "-c", "case $1 in a) exec tini;; esac"], &[], "tini"),
            (&["sh", "-c", "command exec tini"], &[], "tini"),
            (&["sh", "-c", "exec env A=\"$B\" tini"], &[], "tini"),
            // Paths that name the same file.
            (&["/sbin//init"], &[], "/sbin//init"),
            (&["/sbin/./init"], &[], "/sbin/./init"),
            (&["//init"], &[], "//init"),
            (&["./init"], &[], "./init"),
            (&["sbin/init"], &[], "sbin/init"),
            (&["sh", "-c", "exec ./init"], &[], "./init"),
            (&["/entrypoint.sh"], &["/sbin//init"], "/sbin//init"),
            // Inits started by env or BusyBox.
            (&["env", "-Stini -- x"], &[], "tini"),
            (&["env", "--split-string=tini -- x"], &[], "tini"),
            (&["env", "-iS", "tini", "--", "x"], &[], "tini"),
            (&["env", "-vS", "-u A B=1 tini"], &["x"], "tini"),
            (&["env", "-a", "name", "tini"], &[], "tini"),
            (&["env", "--argv0=name", "--chdir", "/", "tini"], &[], "tini"),
            (&["env", "-", "-uA", "--", "B=1", "tini"], &[], "tini"),
            (&["env", "-i", "A=1", "tini", "--", "x"], &[], "tini"),
            (&["/usr/bin/env", "-C", "/tmp", "--", "dumb-init"], &["x"], "dumb-init"),
            (&["/usr/bin/env", "-S", "tini -- x"], &[], "tini"),
            (&["/entrypoint.sh"], &["/usr/bin/env", "A=1", "tini"], "tini"),
            (&["busybox", "init"], &[], "busybox init"),
            (&["/entrypoint.sh", "/bin/busybox", "init"], &[], "/bin/busybox init"),
            (&["sh", "-c", "exec busybox init"], &[], "busybox init"),
        ];
        for (entrypoint, cmd, word) in cases {
            let found = found(entrypoint, cmd).map(|init| init.word);
            assert_eq!(found.as_deref(), Some(*word), "{entrypoint:?} {cmd:?}");
        }
    }

    #[test]
    fn ignores_other_programs() {
        let cases: &[(&[&str], &[&str])] = &[
            (&[], &[]),
            (&[""], &[]),
            (&["node"], &[]),
            (&["/usr/bin/supervisord", "-n"], &[]),
            (&["python3", "init.py"], &[]),
            (&["/opt/tini/run"], &[]),
            (&["/app/init"], &[]),
            (&["../init"], &[]),
            (&["sh", "-c", "cd /app && exec ./init"], &[]),
            (&["env", "-C", "/app", "./init"], &[]),
            // The shell remains PID 1.
            (&["sh", "-c", "exec tini -- x & wait"], &[]),
            (&["sh", "-c", "(exec tini -- x); app"], &[]),
            (&["sh", "-c", "foo | exec tini"], &[]),
            (&["sh", "-c", "x=$(exec tini)"], &[]),
            (&["sh", "-c", "echo `exec tini`"], &[]),
            (&["sh", "-c", "cat <<E\nexec tini\nE\nfoo"], &[]),
            (&["sh", "-c", "f() { exec tini; }; foo"], &[]),
            (&["sh", "-c", "f() { exec tini; }; f & wait"], &[]),
            (&["sh", "-c", "trap 'exec tini' EXIT; app"], &[]),
            (&["sh", "-c", "exec app; exec tini"], &[]),
            (&["sh", "-c", "exit 1; exec tini"], &[]),
            (&["bash", "--", "-c", "exec tini"], &[]),
            (&["/app/tini-wrapper"], &[]),
            (&["/etc/init.d/nginx", "start"], &[]),
            // Words without a directory.
            (&["npm", "init"], &[]),
            (&["git", "init"], &[]),
            (&["terraform"], &["init"]),
            (&["apt-get", "install", "-y", "dumb-init"], &[]),
            (&["docker", "pause", "x"], &[]),
            (&["sudo", "systemctl", "start", "x"], &[]),
            (&["docker-entrypoint.sh"], &["tini", "--", "x"]),
            (&["helm", "install", "k3s"], &[]),
            (&["busybox", "httpd", "init"], &[]),
            (&["busybox", "sh"], &[]),
            (&["env", "A=tini", "node"], &[]),
            (&["env", "-u", "tini", "node"], &[]),
            (&["env"], &[]),
            // Paths that are not programs.
            (&["app", "--dir", "/usr/lib/systemd"], &[]),
            (&["app", "/etc/runit", "/var/lib/k3s", "/run/systemd", "/etc/systemctl"], &[]),
            (&["app", "/pause", "/app/init", "/api/init", "/k3s"], &[]),
            (&["app", "--init=/sbin/init"], &[]),
            (&["app", "/sbin/init.d"], &[]),
            (&["app", "https://example.com/tini"], &[]),
            // Shells that execute another program, or nothing.
            (&["sh", "-c", "tini"], &[]),
            (&["sh", "-c", "exec nginx"], &[]),
            (&["sh", "-c", "exec npm init"], &[]),
            (&["sh", "-c", "echo exec tini"], &[]),
            (&["sh", "-c", "echo '; exec tini'"], &[]),
            (&["sh", "-c", "echo \"a\\\"; exec tini\""], &[]),
            (&["sh", "-c", "# exec tini\nexec nginx"], &[]),
            (&["sh", "-c", "apt-get install tini && exec app"], &[]),
            (&["sh", "-c", "docker exec tini ls"], &[]),
            (&["sh", "-c", "exec > tini"], &[]),
            (&["sh", "exec tini"], &[]),
            (&["sh", "run.sh", "-c", "exec tini"], &[]),
            (&["sh", "-c"], &[]),
        ];
        for (entrypoint, cmd) in cases {
            assert_eq!(found(entrypoint, cmd), None, "{entrypoint:?} {cmd:?}");
        }
    }

    #[test]
    fn terminates_on_pathological_command_lines() {
        let deep = "exec sh -c ".repeat(10_000);
        let many = "exec ".repeat(100_000);
        for line in
            [&deep, &many, "exec 'tini", "exec \"tini\\", "exec -a", "\\", "2>", "exec -", "=", "exec env -u"]
        {
            found(&["sh", "-c", line], &[]);
        }
        let calls: String = (0..10_000).map(|n| format!("f{n}() {{ f{}; }}\n", n + 1)).collect();
        found(&["sh", "-c", &(calls + "f0")], &[]);
        found(&["env", &"-S".repeat(100_000), "tini"], &[]);
        let shells = vec!["sh"; 2_000];
        assert_eq!(found(&shells, &["-c", "exec tini"]).map(|init| init.word).as_deref(), Some("tini"));
    }

    #[test]
    fn inspect_lists_the_same_inits() {
        use crate::inspect::{Marks, programs};
        for (name, ..) in BY_NAME {
            // These start an init, or are inits by path only.
            let is_other = matches!(name, "k3s" | "systemctl" | "systemctl3.py" | "init");
            let known = programs::known_init(&[name], None, Marks::default(), false);
            assert!(is_other || known.is_some(), "{name}");
        }
    }
}
