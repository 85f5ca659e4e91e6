//! Programs that execute the command in their arguments, or run it as a child.

use crate::inspect::shell::value::{Arg, Value};

/// The treatment of the command in a wrapper's arguments.
#[derive(Debug, PartialEq)]
pub enum Wrapped {
    /// The wrapper replaces itself with the command.
    Exec(Changes),
    /// The wrapper runs the command as a child and waits for it.
    Child(Vec<Arg>),
    /// The wrapper's arguments cannot be followed.
    Unclear,
}

/// A command, with the changes that the wrapper makes for it.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    /// The command line.
    pub command: Vec<Arg>,
    /// The user as which it runs.
    pub user: Option<String>,
    /// Whether it starts with an empty environment.
    pub clears: bool,
    /// The variables that are set.
    pub set: Vec<(String, Value)>,
    /// The variables that are removed.
    pub unset: Vec<String>,
    /// The working directory.
    pub directory: Option<String>,
    /// Whether paths refer to other files from here on.
    pub is_in_other_root: bool,
}

/// The syntax of a wrapper's arguments.
struct Spec {
    names: &'static [&'static str],
    /// The letters of options that take a value.
    letters: &'static str,
    /// The long options that take a value in the next word.
    long: &'static [&'static str],
    /// The number of operands before the command.
    operands: usize,
    /// Whether the first operand is a user.
    names_user: bool,
}

const fn spec(
    names: &'static [&'static str],
    letters: &'static str,
    long: &'static [&'static str],
    operands: usize,
    names_user: bool,
) -> Spec {
    Spec { names, letters, long, operands, names_user }
}

const EXECS: &[Spec] = &[
    spec(&["gosu", "su-exec", "s6-setuidgid", "setuidgid"], "", &[], 1, true),
    spec(&["nice"], "n", &["--adjustment"], 0, false),
    spec(&["ionice"], "cnpPu", &["--class", "--classdata"], 0, false),
    spec(&["nohup"], "", &[], 0, false),
    spec(&["stdbuf"], "ioe", &["--input", "--output", "--error"], 0, false),
    spec(&["chroot"], "", &["--userspec", "--groups"], 1, false),
    spec(
        &["setpriv"],
        "",
        &[
            "--ruid",
            "--euid",
            "--reuid",
            "--rgid",
            "--egid",
            "--regid",
            "--groups",
            "--inh-caps",
            "--ambient-caps",
            "--bounding-set",
            "--securebits",
            "--pdeathsig",
            "--selinux-label",
            "--apparmor-profile",
            "--landlock-access",
            "--landlock-rule",
            "--seccomp-filter",
        ],
        0,
        false,
    ),
    spec(&["chpst"], "ubUenmdopfcrtlL/C", &[], 0, false),
    spec(&["s6-envuidgid", "envuidgid", "envdir", "s6-envdir"], "", &[], 1, false),
    spec(&["softlimit", "s6-softlimit"], "adfmoprstclv", &[], 0, false),
    spec(&["taskset"], "", &[], 1, false),
    spec(
        &["numactl"],
        "ipwmlNCP",
        &["--interleave", "--preferred", "--membind", "--cpunodebind", "--physcpubind"],
        0,
        false,
    ),
    spec(&["with-contenv"], "", &[], 0, false),
    spec(&["ddtrace-run", "opentelemetry-instrument"], "", &[], 0, false),
];

const CHILDREN: &[Spec] = &[
    spec(&["timeout"], "sk", &["--signal", "--kill-after"], 1, false),
    spec(&["flock"], "Ewc", &["--timeout", "--conflict-exit-code"], 1, false),
    spec(&["xargs"], "aEdIiLlnPs", &["--arg-file", "--delimiter", "--max-args", "--max-procs"], 0, false),
    spec(&["time"], "fo", &["--format", "--output"], 0, false),
];

/// Parses the arguments of a wrapper; `None` if the program is not a wrapper.
pub fn unwrap(name: &str, args: &[Arg], is_busybox: bool) -> Option<Wrapped> {
    match name {
        "env" => return Some(env(args)),
        "su" if is_busybox => return Some(Wrapped::Unclear),
        "su" | "runuser" => return Some(Wrapped::Child(user_command(args))),
        // setsid forks if it leads its process group, as PID 1 does.
        "setsid" | "sudo" | "doas" | "unshare" | "nsenter" => return Some(Wrapped::Unclear),
        "newrelic-admin" if args.first().and_then(Arg::known).as_deref() == Some("run-program") => {
            let command = args.get(1..).unwrap_or_default().to_vec();
            return Some(Wrapped::Exec(Changes { command, ..Changes::default() }));
        }
        "bundle" if matches!(args.first().and_then(Arg::known).as_deref(), Some("exec")) => {
            let command = args.get(1..).unwrap_or_default().to_vec();
            return Some(Wrapped::Exec(Changes { command, ..Changes::default() }));
        }
        _ => {}
    }
    // BusyBox's timeout executes the program, and a child of it watches the time.
    let is_child = !(is_busybox && name == "timeout");
    if let Some(spec) = EXECS.iter().find(|spec| spec.names.contains(&name)) {
        return Some(read(spec, args, true));
    }
    CHILDREN.iter().find(|spec| spec.names.contains(&name)).map(|spec| read(spec, args, !is_child))
}

fn read(spec: &Spec, args: &[Arg], execs: bool) -> Wrapped {
    let Some(mut at) = after_options(spec.letters, spec.long, args) else { return Wrapped::Unclear };
    if spec.names == ["taskset"]
        && args.iter().take(at).any(|arg| arg.known().is_some_and(|arg| arg.starts_with("-p")))
    {
        return Wrapped::Unclear;
    }
    let operands = args.get(at..at + spec.operands).unwrap_or_default();
    if operands.len() < spec.operands || operands.iter().any(|arg| matches!(arg, Arg::Many(_))) {
        return Wrapped::Unclear;
    }
    at += spec.operands;
    let command = args.get(at..).unwrap_or_default().to_vec();
    if command.is_empty() {
        return Wrapped::Unclear;
    }
    if !execs {
        return Wrapped::Child(command);
    }
    let mut user =
        operands.first().filter(|_| spec.names_user).map(|arg| arg.known().unwrap_or_else(|| "?".into()));
    if spec.names == ["setpriv"] {
        user = option_value(args, "--reuid").or_else(|| option_value(args, "--euid"));
    }
    let is_in_other_root =
        spec.names == ["chroot"] && operands.first().and_then(Arg::known).as_deref() != Some("/");
    Wrapped::Exec(Changes { command, user, is_in_other_root, ..Changes::default() })
}

fn option_value(args: &[Arg], option: &str) -> Option<String> {
    let words: Vec<String> = args.iter().map_while(Arg::known).collect();
    let at = words.iter().position(|word| word.starts_with(option))?;
    match words.get(at)?.strip_prefix(option)?.strip_prefix('=') {
        Some(value) => Some(value.into()),
        None => words.get(at + 1).cloned(),
    }
}

/// Returns the index of the first argument after the options; `None` if an argument before it is unknown.
pub fn after_options(letters: &str, long: &[&str], args: &[Arg]) -> Option<usize> {
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        let Some(word) = arg.known() else {
            let is_option = matches!(arg, Arg::One(value) if value.shown().starts_with('-'));
            match arg {
                Arg::One(_) if !is_option => return Some(at),
                _ => return None,
            }
        };
        if word == "--" {
            return Some(at + 1);
        }
        let Some(option) = word.strip_prefix('-').filter(|option| !option.is_empty()) else {
            return Some(at);
        };
        at += if option.starts_with('-') {
            if long.contains(&word.as_str()) { 2 } else { 1 }
        } else {
            let takes = option.char_indices().find(|(_, letter)| letters.contains(*letter));
            // The value is the rest of the word, or the next word.
            match takes {
                Some((place, letter)) if place + letter.len_utf8() == option.len() => 2,
                _ => 1,
            }
        };
    }
    Some(args.len())
}

fn env(args: &[Arg]) -> Wrapped {
    let mut changes = Changes::default();
    let mut args: Vec<Arg> = args.to_vec();
    let mut at = 0;
    let mut options_end = false;
    for _ in 0..256 {
        let Some(arg) = args.get(at) else { return Wrapped::Unclear };
        let Arg::One(value) = arg else { return Wrapped::Unclear };
        let text = value.shown();
        if let Some((name, _)) = text.split_once('=')
            && !text.starts_with('-')
            && !name.contains('/')
        {
            let known =
                value.known().and_then(|text| text.split_once('=').map(|(_, value)| Value::text(value)));
            changes.set.push((name.into(), known.unwrap_or_else(|| Value::unknown(&format!("${name}")))));
            options_end = true;
            at += 1;
            continue;
        }
        let next = || args.get(at + 1).and_then(Arg::known);
        at += match text.as_str() {
            _ if options_end || !text.starts_with('-') => {
                changes.command = args.split_off(at);
                return Wrapped::Exec(changes);
            }
            "--" => {
                options_end = true;
                1
            }
            "-" | "-i" | "--ignore-environment" => {
                changes.clears = true;
                1
            }
            "-u" | "--unset" => {
                changes.unset.extend(next());
                2
            }
            "-C" | "--chdir" => {
                changes.directory = next();
                2
            }
            _ => match split_string(&text, next()) {
                Some((words, used)) => {
                    args.splice(at..(at + used).min(args.len()), words.into_iter().map(Arg::text));
                    0
                }
                None if text.starts_with("-S") || text.starts_with("--split") => return Wrapped::Unclear,
                None => 1,
            },
        };
    }
    Wrapped::Unclear
}

/// Returns the words of `env -S`, and the number of arguments that they replace.
fn split_string(option: &str, next: Option<String>) -> Option<(Vec<String>, usize)> {
    let (text, used) = match option {
        "-S" | "--split-string" | "-vS" => (next?, 2),
        _ => {
            let inline = option.strip_prefix("--split-string=").or_else(|| option.strip_prefix("-S"));
            (inline.or_else(|| option.strip_prefix("-vS"))?.to_string(), 1)
        }
    };
    if text.contains(['$', '\\', '"', '\'']) {
        return None;
    }
    Some((text.split_whitespace().map(Into::into).collect(), used))
}

/// Returns the command line that `su` and `runuser` run, for people and for finding inits in it.
fn user_command(args: &[Arg]) -> Vec<Arg> {
    let words: Vec<String> = args.iter().map(Arg::shown).collect();
    let command = words.iter().position(|word| word == "-c" || word == "--command" || word == "--");
    command.and_then(|at| args.get(at + 1..)).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(words: &[&str]) -> Vec<Arg> {
        words.iter().map(|word| Arg::text(*word)).collect()
    }

    fn command(words: &[&str]) -> Option<Vec<String>> {
        match unwrap(words[0], &args(&words[1..]), false)? {
            Wrapped::Exec(changes) => Some(changes.command.iter().map(Arg::shown).collect()),
            Wrapped::Child(command) => {
                Some([vec!["child".into()], command.iter().map(Arg::shown).collect()].concat())
            }
            Wrapped::Unclear => Some(vec!["unclear".into()]),
        }
    }

    #[test]
    fn finds_the_command_after_options() {
        for (line, expected) in [
            ("gosu redis redis-server -x", "redis-server -x"),
            ("su-exec app:app node a.js", "node a.js"),
            ("nice -n 5 x", "x"),
            ("nice -5 x", "x"),
            ("nice --adjustment=3 x", "x"),
            ("nice -n5 x", "x"),
            ("ionice -c2 -n 7 x y", "x y"),
            ("stdbuf -oL -e 0 x", "x"),
            ("stdbuf --output=L x", "x"),
            ("chroot --userspec=a:b / x", "x"),
            ("chroot /root x", "x"),
            ("setpriv --reuid=app --regid app --clear-groups x -y", "x -y"),
            ("setpriv --reuid 1000 --init-groups -- x", "x"),
            ("chpst -u app -b name x", "x"),
            ("chpst -uapp x", "x"),
            ("s6-setuidgid abc x", "x"),
            ("env A=b C= x D=e", "x D=e"),
            ("env -i -u A -- B=c x", "x"),
            ("env -S x -y", "x -y"),
            ("nohup x", "x"),
            ("taskset 0x3 x", "x"),
            ("taskset -c 0,1 x", "x"),
            ("timeout -k 5 10 x", "child x"),
            ("timeout -s KILL 10 x", "child x"),
            ("flock /l x", "child x"),
            ("runuser -u app -- x y", "child x y"),
            ("su app -c x", "child x"),
            ("bundle exec puma -p 1", "puma -p 1"),
            ("gosu app", "unclear"),
            ("setsid x", "unclear"),
            ("sudo x", "unclear"),
            ("env", "unclear"),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(command(&words).map(|words| words.join(" ")).as_deref(), Some(expected), "{line}");
        }
        assert_eq!(command(&["bash", "-c", "x"]), None);
    }

    #[test]
    fn records_users_and_directories() {
        let Some(Wrapped::Exec(changes)) = unwrap("setpriv", &args(&["--reuid", "app", "x"]), false) else {
            panic!()
        };
        assert_eq!(changes.user.as_deref(), Some("app"));
        let Some(Wrapped::Exec(changes)) = unwrap("env", &args(&["-C", "/tmp", "A=1", "x"]), false) else {
            panic!()
        };
        assert_eq!((changes.directory.as_deref(), changes.set.len()), (Some("/tmp"), 1));
    }

    #[test]
    fn env_splits_a_single_argument() {
        let Some(Wrapped::Exec(changes)) = unwrap("env", &args(&["-S node --flag", "a.js"]), false) else {
            panic!()
        };
        assert_eq!(changes.command.iter().map(Arg::shown).collect::<Vec<_>>(), ["node", "--flag", "a.js"]);
    }

    #[test]
    fn busybox_timeout_executes_the_program() {
        assert!(matches!(unwrap("timeout", &args(&["5", "x"]), true), Some(Wrapped::Exec(_))));
    }
}
