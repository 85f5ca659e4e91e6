//! Judgement of command lines by their words alone. Programs are recognised by name, and shell text is parsed for the
//! command that runs last; anything else is unknown.

use super::command::{Answer, CommandJudgement, Commands, InitUse, Question, Start};
use super::programs::{self, Init, Shell};
use super::shell::{self, Command, Separator, Word};
use super::spec::has_placeholder;
use std::cell::Cell;

/// The judge of command lines by their words alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct WordsOnly;

/// The maximum depth of command lines within command lines.
const MAX_DEPTH: usize = 8;

/// The maximum number of steps of one judgement: a command is one, and so are 256 bytes of text. Texts that run each
/// other several times have exponentially many paths.
const MAX_STEPS: usize = 20_000;

/// The maximum size of a command line, in bytes and words.
const MAX_SIZE: usize = 256 << 10;

impl Commands for WordsOnly {
    fn judge(&self, question: &Question<'_>) -> CommandJudgement {
        if let (None, None, Some(facts)) = (question.command, question.args, question.facts) {
            return facts.own.clone();
        }
        match question.words() {
            Some(words) => Judge { question, steps: Cell::new(MAX_STEPS) }.argv(&words, 0),
            None => CommandJudgement::UNKNOWN,
        }
    }
}

struct Judge<'q> {
    question: &'q Question<'q>,
    /// The number of steps that are left.
    steps: Cell<usize>,
}

/// A script text with its positional parameters.
struct Text<'t> {
    shell: Shell,
    /// Whether the text is a file; a shell never replaces itself with the last command of a file.
    is_file: bool,
    arguments: &'t [String],
    depth: usize,
}

impl Judge<'_> {
    /// Counts a command with a text. Returns whether it may be judged.
    fn charge(&self, text: usize) -> bool {
        let left = self.steps.get().checked_sub(1 + text / 256);
        self.steps.set(left.unwrap_or(0));
        left.is_some()
    }

    fn argv(&self, words: &[String], depth: usize) -> CommandJudgement {
        let Some((program, rest)) = words.split_first().filter(|_| depth < MAX_DEPTH && self.charge(0))
        else {
            return CommandJudgement::UNKNOWN;
        };
        if has_placeholder(program) {
            return CommandJudgement::UNKNOWN;
        }
        if let Some(file) = self.question.files.iter().find(|file| file.path == *program) {
            let shell = file.text.map_or(Shell::Any, interpreter);
            return self.file(program, Text { shell, is_file: true, arguments: rest, depth });
        }
        if let Some(inner) = wrapped_by_prefix(programs::file_name(program), rest) {
            return self.argv(inner, depth + 1);
        }
        if let Some(init) = programs::init(program) {
            return self.init(init, rest, depth);
        }
        if let Some(shell) = programs::shell(program) {
            return self.shell(shell, rest, depth);
        }
        self.program(programs::file_name(program))
    }

    fn program(&self, name: &str) -> CommandJudgement {
        if programs::is_launcher(name) {
            return CommandJudgement { orphans_reaped: Answer::No, ..CommandJudgement::UNKNOWN };
        }
        match programs::known(name) {
            Some(traits) => CommandJudgement {
                start: Start::Service,
                orphans_reaped: traits.reaps,
                term_as_pid1: traits.heeds_term,
                term_elsewhere: Answer::Yes,
                shell_stays: Answer::No,
                init: None,
                script: None,
            },
            None => CommandJudgement::UNKNOWN,
        }
    }

    fn init(&self, init: Init, rest: &[String], depth: usize) -> CommandJudgement {
        let options = Options::read(rest, init.with_value);
        let inner = self.argv(options.operands, depth + 1);
        let is_told = ["TINI_SUBREAPER"].iter().any(|name| self.question.variable(name).is_some());
        let is_tini = init.with_value == "pe";
        // dumb-init forwards signals even if it is not PID 1; it neither checks nor warns.
        let is_quiet =
            init.is_reaper || init.name == "dumb-init" || (is_tini && (options.has('s') || is_told));
        CommandJudgement {
            start: Start::Init,
            orphans_reaped: Answer::Yes,
            term_as_pid1: if init.insists { Answer::Unknown } else { inner.term_elsewhere },
            term_elsewhere: if init.insists { Answer::Unknown } else { inner.term_elsewhere },
            shell_stays: Answer::No,
            init: Some(InitUse {
                name: init.name.to_string(),
                is_first: Answer::Yes,
                is_subreaper: is_quiet,
                insists: init.insists,
                grace_ms: options.value('t').and_then(milliseconds).filter(|_| init.is_reaper),
                is_reaper: init.is_reaper,
            }),
            script: inner.script,
        }
    }

    fn shell(&self, shell: Shell, words: &[String], depth: usize) -> CommandJudgement {
        let mut rest = words;
        let mut has_command = false;
        while let Some((word, after)) = rest.split_first() {
            let Some(letters) = word.strip_prefix(['-', '+']) else { break };
            rest = after;
            if letters == "-" || letters.is_empty() {
                break;
            }
            has_command |= word.starts_with('-') && !letters.starts_with('-') && letters.contains('c');
            if letters.ends_with('o') && !letters.starts_with('-')
                || matches!(letters, "-rcfile" | "-init-file")
            {
                rest = rest.get(1..).unwrap_or_default();
            }
        }
        let Some((first, after)) = rest.split_first() else { return stays(Answer::No) };
        if has_command && ["{{", "{%"].iter().any(|mark| first.contains(mark)) {
            return CommandJudgement::UNKNOWN;
        }
        if has_command {
            let arguments = after.get(1..).unwrap_or_default();
            return self.text(first, Text { shell, is_file: false, arguments, depth });
        }
        self.file(first, Text { shell, is_file: true, arguments: after, depth })
    }

    fn file(&self, path: &str, text: Text<'_>) -> CommandJudgement {
        let file = self.question.files.iter().find(|file| file.path == path);
        let Some(contents) = file.and_then(|file| file.text) else {
            let script = file.map(|file| (file.path.clone(), 1));
            return CommandJudgement { script, ..CommandJudgement::UNKNOWN };
        };
        let is_shell = !contents.starts_with("#!")
            || contents
                .lines()
                .next()
                .is_some_and(|line| line.split(['/', ' ']).any(|w| programs::shell(w).is_some()));
        if !is_shell {
            return CommandJudgement { script: Some((path.to_string(), 1)), ..CommandJudgement::UNKNOWN };
        }
        let judged = self.text(contents, text);
        let line = if self.charge(contents.len()) { deciding_line(&shell::commands(contents)) } else { 1 };
        CommandJudgement { script: Some((path.to_string(), line)), ..judged }
    }

    /// Judges shell text.
    fn text(&self, text: &str, how: Text<'_>) -> CommandJudgement {
        if !self.charge(text.len()) {
            return CommandJudgement::UNKNOWN;
        }
        let commands = shell::commands(text);
        let outer: Vec<&Command> = commands.iter().filter(|c| c.depth == 0).collect();
        let mut targets = Vec::new();
        let mut is_certain = false;
        for command in commands.iter().filter(|c| c.executes() && !c.is_in_subshell()) {
            targets.push(executed(self.target(&command.words[1..], &how)));
            let is_last = outer.last().is_some_and(|last| std::ptr::eq(*last, command));
            is_certain = command.depth == 0
                && match command.before {
                    Separator::Edge | Separator::Sequence | Separator::Background => true,
                    Separator::And => is_last,
                    Separator::Or | Separator::Pipe => false,
                };
            if is_certain {
                break;
            }
        }
        let is_conditional = !targets.is_empty();
        match targets.into_iter().reduce(either) {
            Some(target) if is_certain => return target,
            Some(target) if outer.iter().any(|c| c.executes()) => {
                return CommandJudgement { start: Start::Unknown, ..doubtful(target) };
            }
            _ => {}
        }
        let is_opaque = commands.iter().any(|c| {
            c.name().is_some_and(|w| w.is_computed || matches!(w.text.as_str(), "eval" | "." | "source"))
        });
        if is_conditional || is_opaque {
            return CommandJudgement { init: self.later_init(&commands), ..CommandJudgement::UNKNOWN };
        }
        self.last(&commands, &outer, &how)
    }

    /// Judges a text without `exec` by its last command.
    fn last(&self, commands: &[Command], outer: &[&Command], how: &Text<'_>) -> CommandJudgement {
        let traps = commands.iter().any(|c| {
            c.name().is_some_and(|w| w.text == "trap")
                && c.words.iter().any(|w| matches!(w.text.as_str(), "TERM" | "SIGTERM" | "15"))
        });
        let shell = CommandJudgement {
            init: self.later_init(commands),
            ..stays(if traps { Answer::Depends } else { Answer::No })
        };
        let Some(last) = outer.last().filter(|c| !c.is_compound && !c.is_in_subshell()) else { return shell };
        let name = last.words.first().map_or("", |w| w.text.as_str());
        if programs::is_builtin(name) || how.is_file {
            return shell;
        }
        let separators = || outer.iter().map(|c| c.before);
        let only_and = separators().all(|s| matches!(s, Separator::Edge | Separator::And));
        let replaced = match how.shell {
            Shell::Dash => Answer::No,
            Shell::Busybox if only_and => Answer::Yes,
            Shell::Bash if only_and && last.has_redirection => Answer::No,
            Shell::Bash if only_and && !traps => Answer::Yes,
            _ => Answer::Depends,
        };
        match replaced {
            Answer::No => shell,
            Answer::Yes => executed(self.target(&last.words, how)),
            _ => {
                let target = self.target(&last.words, how);
                let mut both = doubtful(target.clone());
                both.start = if target.start == Start::None { Start::None } else { Start::Unknown };
                both.orphans_reaped = target.orphans_reaped.or(Answer::Yes);
                both.init = both.init.or(shell.init);
                both
            }
        }
    }

    /// Judges the command with which a shell replaces itself.
    fn target(&self, words: &[Word], how: &Text<'_>) -> CommandJudgement {
        let (mut argv, mut size) = (Vec::new(), 0);
        let mut words = words.iter().peekable();
        // Options of `exec` itself.
        while let Some(option) = words.next_if(|w| w.text.starts_with('-')) {
            if option.text == "-a" {
                words.next();
            }
        }
        for word in words {
            let more = match word.text.as_str() {
                "$@" | "$*" | "${@}" => how.arguments,
                _ => std::slice::from_ref(&word.text),
            };
            size += more.iter().map(|word| 1 + word.len()).sum::<usize>();
            if size > MAX_SIZE {
                return CommandJudgement::UNKNOWN;
            }
            argv.extend_from_slice(more);
        }
        if !self.charge(size) {
            return CommandJudgement::UNKNOWN;
        }
        self.argv(&argv, how.depth + 1)
    }

    /// Returns the init that a shell starts as its child.
    fn later_init(&self, commands: &[Command]) -> Option<InitUse> {
        let started = commands.iter().find_map(|c| {
            let name = c.name().filter(|w| !w.is_computed)?;
            programs::init(&name.text).map(|init| (init, c))
        });
        let (init, command) = started?;
        let words: Vec<String> = command.words.iter().skip(1).map(|w| w.text.clone()).collect();
        let judged = self.init(init, &words, MAX_DEPTH);
        judged.init.map(|found| InitUse { is_first: Answer::No, ..found })
    }
}

/// Returns the judgement of a shell that remains as the first process; `term` tells whether it forwards SIGTERM.
fn stays(term: Answer) -> CommandJudgement {
    CommandJudgement {
        start: Start::None,
        orphans_reaped: Answer::Yes,
        term_as_pid1: term,
        term_elsewhere: term,
        shell_stays: if term == Answer::No { Answer::Yes } else { Answer::No },
        init: None,
        script: None,
    }
}

/// Adjusts the judgement of a command that a script executes.
fn executed(target: CommandJudgement) -> CommandJudgement {
    let start = match target.start {
        Start::Init => Start::Init,
        Start::None => Start::None,
        Start::Service | Start::Script | Start::Unknown => Start::Script,
    };
    CommandJudgement { start, ..target }
}

/// Returns the judgement if either of two commands may be the last.
fn either(one: CommandJudgement, other: CommandJudgement) -> CommandJudgement {
    let is_certain = one.init == other.init;
    let init = one.init.or(other.init);
    CommandJudgement {
        start: if one.start == other.start { one.start } else { Start::Unknown },
        orphans_reaped: one.orphans_reaped.or(other.orphans_reaped),
        term_as_pid1: one.term_as_pid1.or(other.term_as_pid1),
        term_elsewhere: one.term_elsewhere.or(other.term_elsewhere),
        shell_stays: one.shell_stays.or(other.shell_stays),
        init: init.map(|init| if is_certain { init } else { InitUse { is_first: Answer::Depends, ..init } }),
        script: None,
    }
}

/// Returns the judgement if the shell may also remain.
fn doubtful(target: CommandJudgement) -> CommandJudgement {
    CommandJudgement {
        orphans_reaped: target.orphans_reaped.or(Answer::Yes),
        term_as_pid1: target.term_as_pid1.or(Answer::No),
        term_elsewhere: target.term_elsewhere.or(Answer::No),
        shell_stays: if target.shell_stays == Answer::Yes { Answer::Yes } else { Answer::Depends },
        init: target.init.map(|init| InitUse { is_first: Answer::Depends, ..init }),
        ..target
    }
}

/// Returns the line of a script that determines whether the shell remains: the first `exec`, else the last command.
fn deciding_line(commands: &[Command]) -> usize {
    let outer = || commands.iter().filter(|c| c.depth == 0);
    outer().find(|c| c.executes()).or_else(|| outer().next_back()).map_or(1, |c| c.line)
}

/// Returns the shell that the first line of a script names.
fn interpreter(text: &str) -> Shell {
    let first = text.lines().next().unwrap_or_default();
    match first.strip_prefix("#!") {
        Some(line) => line.split_whitespace().find_map(programs::shell).unwrap_or(Shell::Any),
        None => Shell::Any,
    }
}

/// Returns the command line after a program that executes another one in its own place.
fn wrapped_by_prefix<'w>(name: &str, rest: &'w [String]) -> Option<&'w [String]> {
    let skipped = match name {
        "env" => rest.iter().take_while(|w| w.starts_with('-') || shell::is_assignment(w)).count(),
        "gosu" | "su-exec" | "s6-setuidgid" => 1,
        "nohup" | "busybox" => 0,
        "nice" | "ionice" | "stdbuf" if rest.first().is_some_and(|w| w.len() > 2 || !w.starts_with('-')) => {
            rest.iter().take_while(|w| w.starts_with('-')).count()
        }
        "nice" => 2,
        _ => return None,
    };
    rest.get(skipped..).filter(|inner| !inner.is_empty())
}

/// The options of an init, with the command line after them.
struct Options<'w> {
    given: Vec<(char, Option<&'w str>)>,
    operands: &'w [String],
}

impl<'w> Options<'w> {
    fn read(mut words: &'w [String], with_value: &str) -> Options<'w> {
        let mut given = Vec::new();
        while let Some((word, rest)) = words.split_first() {
            let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) else { break };
            words = rest;
            if letters == "-" {
                break;
            }
            for (at, letter) in letters.char_indices().filter(|_| !letters.starts_with('-')) {
                if !with_value.contains(letter) {
                    given.push((letter, None));
                    continue;
                }
                let attached = &letters[at + letter.len_utf8()..];
                if attached.is_empty() {
                    given.push((letter, words.first().map(String::as_str)));
                    words = words.get(1..).unwrap_or_default();
                } else {
                    given.push((letter, Some(attached)));
                }
                break;
            }
        }
        Options { given, operands: words }
    }

    fn has(&self, letter: char) -> bool {
        self.given.iter().any(|(known, _)| *known == letter)
    }

    fn value(&self, letter: char) -> Option<&'w str> {
        self.given.iter().rev().find(|(known, _)| *known == letter)?.1
    }
}

/// Parses the reaper's notation of a grace into milliseconds: seconds, with up to three digits after a decimal point.
pub(crate) fn milliseconds(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if seconds.is_empty() || fraction.len() > 3 || !is_number(seconds) || !is_number(fraction) {
        return None;
    }
    let fraction: u64 = format!("{fraction:0<3}").parse().ok()?;
    seconds.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::super::config_map::ScriptFile;
    use super::*;

    fn judged(words: &[String], files: &[ScriptFile<'_>]) -> CommandJudgement {
        WordsOnly.judge(&Question { facts: None, command: Some(words), args: None, env: &[], files })
    }

    #[test]
    fn texts_that_run_each_other_are_given_up() {
        let text = "a && exec \"$@\"\n".repeat(20);
        let level = ["sh".to_owned(), "-c".into(), text, "x".into()];
        assert_eq!(judged(&vec![level; 8].concat(), &[]).orphans_reaped, Answer::Unknown);
        let wide = format!("exec sh -c '{}' {}", "a".repeat(100), "\"$@\" ".repeat(1_000));
        let level = ["sh".to_owned(), "-c".into(), wide, "x".into()];
        assert_eq!(judged(&vec![level; 8].concat(), &[]).orphans_reaped, Answer::Unknown);
    }
}
