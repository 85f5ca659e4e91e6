//! Names of commands and values, for people and for heuristics.

use super::ast::{Command, Kind};

/// Commands that end quickly, and for which a container is not started.
const BRIEF: &[&str] = &[
    "echo",
    "printf",
    "cat",
    "mkdir",
    "chown",
    "chmod",
    "cp",
    "mv",
    "ln",
    "rm",
    "touch",
    "sed",
    "grep",
    "egrep",
    "awk",
    "cut",
    "tr",
    "head",
    "sort",
    "uniq",
    "wc",
    "find",
    "xargs",
    "ls",
    "id",
    "date",
    "hostname",
    "uname",
    "env",
    "printenv",
    "stat",
    "sleep",
    "test",
    "[",
    "true",
    "false",
    ":",
    "sync",
    "usermod",
    "groupmod",
    "useradd",
    "groupadd",
    "adduser",
    "addgroup",
    "install",
    "tee",
    "envsubst",
    "basename",
    "dirname",
    "which",
    "readlink",
    "realpath",
    "mktemp",
    "tar",
    "gzip",
    "md5sum",
    "sha256sum",
    "base64",
    "getent",
    "nproc",
    "free",
    "df",
    "du",
    "ps",
    "pgrep",
    "kill",
    "pkill",
    "killall",
    "expr",
    "seq",
    "diff",
    "cmp",
    "rmdir",
    "mount",
    "umount",
    "sysctl",
    "ip",
    "ifconfig",
    "hash",
    "type",
    "nc",
    "getopt",
    "logger",
    "locale",
    "localedef",
    "update-ca-certificates",
    "ldconfig",
    "chgrp",
    "usleep",
    "gosu",
    "su-exec",
    "jq",
    "yq",
    "openssl",
];

/// Returns whether a command of this name ends quickly.
pub fn is_brief(name: &str) -> bool {
    BRIEF.contains(&name) && !matches!(name, "gosu" | "su-exec" | "tee" | "xargs" | "env" | "nc")
}

/// Returns a name for people of the program that a command starts.
pub fn command_name(command: &Command) -> String {
    match &command.kind {
        Kind::Simple(simple) => {
            let names: Vec<String> =
                simple.words.iter().map(|word| word.literal().unwrap_or_else(|| "…".into())).collect();
            let wrappers = ["exec", "nohup", "setsid", "nice", "command", "gosu", "su-exec"];
            let own = names.iter().find(|name| !wrappers.contains(&name.as_str()) && !name.starts_with('-'));
            own.map_or_else(String::new, |name| crate::inspect::files::file_name(name).into())
        }
        Kind::Group(list) | Kind::Subshell(list) => {
            let first = list.last().and_then(|item| item.first.commands.first());
            first.map_or_else(|| "( … )".into(), command_name)
        }
        _ => "a compound command".into(),
    }
}

/// Describes the source of an unknown value for people, with variables in backquotes.
pub fn described(source: &str) -> String {
    if source.starts_with('$') { format!("`{source}`") } else { source.into() }
}
