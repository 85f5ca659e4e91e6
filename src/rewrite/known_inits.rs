//! Programs that already reap, or must be PID 1: images that start one are not wrapped.

use crate::image::ImageConfig;
use std::fmt;

/// The version of the rules in this file. It is part of the recipe, because the rules determine what wrap does.
pub const VERSION: u32 = 2;

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
    started(&words, 0).or_else(|| (1..words.len()).find_map(|at| argument(&words[at..])))
}

/// Returns the init that a command line starts, directly or through `env`, BusyBox or a shell's `exec`.
fn started(words: &[&str], depth: usize) -> Option<KnownInit> {
    let (program, arguments) = words.split_first().filter(|_| depth < MAX_DEPTH)?;
    match file_name(program) {
        "env" => started_by_env(arguments, depth),
        "busybox" if matches!(arguments.first(), Some(&("init" | "linuxrc"))) => {
            Some(KnownInit { what: "BusyBox's init", word: format!("{program} {}", arguments[0]) })
        }
        "busybox" => started(arguments, depth + 1),
        name if is_shell(name) => executed(command_string(arguments)?, depth),
        _ => known(program, Role::Program),
    }
}

/// Returns the init that `env` starts.
fn started_by_env(mut arguments: &[&str], depth: usize) -> Option<KnownInit> {
    while let Some((word, rest)) = arguments.split_first() {
        arguments = match *word {
            "-u" | "--unset" | "-C" | "--chdir" => rest.get(1..)?,
            "-S" | "--split-string" => {
                return started(&rest.first()?.split_whitespace().collect::<Vec<_>>(), depth + 1);
            }
            word if word.starts_with('-') || word.contains('=') => rest,
            _ => return started(arguments, depth + 1),
        };
    }
    None
}

/// Returns the command line passed to a shell with `-c`.
fn command_string<'w>(arguments: &[&'w str]) -> Option<&'w str> {
    let mut has_c = false;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let Some(letters) = word.strip_prefix(['-', '+']) else { return has_c.then_some(word) };
        if letters.starts_with('-') {
            continue;
        }
        has_c |= letters.contains('c');
        // Each `o` takes the name of an option as its argument.
        letters.matches('o').for_each(|_| _ = words.next());
    }
    None
}

/// Returns the init that a shell's command line replaces itself with by `exec`.
fn executed(line: &str, depth: usize) -> Option<KnownInit> {
    const BEFORE_COMMANDS: [&str; 10] =
        ["then", "do", "else", "if", "elif", "while", "until", "!", "{", "time"];
    commands(line).iter().find_map(|words| {
        let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
        let is_assignment = |word: &str| word.split_once('=').is_some_and(|(name, _)| is_variable(name));
        let start = words.iter().position(|word| !BEFORE_COMMANDS.contains(word) && !is_assignment(word))?;
        words.drain(..start);
        let mut rest = words.strip_prefix(&["exec"])?;
        while let Some((option, after)) = rest.split_first().filter(|(word, _)| word.starts_with('-')) {
            rest = if option.contains('a') { after.get(1..)? } else { after };
        }
        started(rest, depth + 1)
    })
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Returns the simple commands of a shell's command line, as words without quotes and redirections.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut chars = line.chars().peekable();
    let end_word = |word: &mut Option<String>, commands: &mut Vec<Vec<String>>| {
        if let (Some(word), Some(command)) = (word.take(), commands.last_mut()) {
            command.push(word);
        }
    };
    while let Some(c) = chars.next() {
        let in_redirection = word.as_deref().is_some_and(|word| word.ends_with(['<', '>']));
        match c {
            '\'' => word.get_or_insert_default().extend(chars.by_ref().take_while(|c| *c != '\'')),
            '"' => {
                let word = word.get_or_insert_default();
                while let Some(c) = chars.next().filter(|c| *c != '"') {
                    word.extend(if c == '\\' { chars.next() } else { Some(c) });
                }
            }
            '\\' => {
                if let Some(c) = chars.next().filter(|c| *c != '\n') {
                    word.get_or_insert_default().push(c);
                }
            }
            '#' if word.is_none() => drop(chars.by_ref().find(|c| *c == '\n')),
            '&' if in_redirection || chars.peek() == Some(&'>') => word.get_or_insert_default().push(c),
            ';' | '&' | '|' | '\n' | '(' | ')' => {
                end_word(&mut word, &mut commands);
                commands.push(Vec::new());
            }
            c if c.is_whitespace() => end_word(&mut word, &mut commands),
            c => word.get_or_insert_default().push(c),
        }
    }
    end_word(&mut word, &mut commands);
    commands.into_iter().map(without_redirections).collect()
}

fn without_redirections(words: Vec<String>) -> Vec<String> {
    let mut is_target = false;
    let is_kept = |word: &String| {
        let operator = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '&');
        let is_redirection = operator.starts_with(['<', '>']);
        let is_kept = !is_redirection && !is_target;
        is_target = is_redirection && operator.trim_start_matches(['<', '>', '&', '|']).is_empty();
        is_kept
    };
    words.into_iter().filter(is_kept).collect()
}

/// Returns the init that an argument of a command line starts: named with its full path, or run by a shell, `env` or
/// BusyBox.
fn argument(words: &[&str]) -> Option<KnownInit> {
    let word = words.first()?;
    let is_path = word.starts_with('/');
    match file_name(word) {
        "env" | "busybox" if is_path => started(words, 1),
        name if is_shell(name) => started(words, 1),
        _ if is_path => known(word, Role::Argument),
        _ => None,
    }
}

/// The role of a word in a command line.
#[derive(PartialEq, Eq)]
enum Role {
    Program,
    Argument,
}

fn known(word: &str, role: Role) -> Option<KnownInit> {
    let found = |what: &'static str| Some(KnownInit { what, word: word.into() });
    if let Some((_, what)) = BY_PATH.iter().find(|(path, _)| *path == word) {
        return found(what);
    }
    let (directory, file) = word.rsplit_once('/').map_or((None, word), |(above, file)| (Some(above), file));
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
        let cases: [(&[&str], &[&str], &str); 52] = [
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
            // Inits started by env or BusyBox.
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
            assert_eq!(found.as_deref(), Some(word), "{entrypoint:?} {cmd:?}");
        }
    }

    #[test]
    fn ignores_other_programs() {
        let cases: [(&[&str], &[&str]); 42] = [
            (&[], &[]),
            (&[""], &[]),
            (&["node"], &[]),
            (&["/usr/bin/supervisord", "-n"], &[]),
            (&["python3", "init.py"], &[]),
            (&["/opt/tini/run"], &[]),
            (&["/app/init"], &[]),
            (&["./init"], &[]),
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
