//! The walk from a command line to the program that becomes PID 1.

use crate::inspect::files::{FileFacts, Mark, Marks};
use crate::inspect::locate::{Located, interpreter, is_elf};
use crate::inspect::process::{End, Place, Process, Under, apply};
use crate::inspect::programs::{self, Facts, Init};
use crate::inspect::shell::value::{Arg, Value};
use crate::inspect::trail::{TOO_COMPLEX, Trail};
use crate::inspect::verdict::{InitFound, Kind, Pid1};
use crate::inspect::wrappers::{self, Wrapped};
use std::rc::Rc;

/// The maximum depth of command lines that are followed.
const MAX_DEPTH: u32 = 24;

/// A program that was found.
struct Program {
    name: String,
    located: Located,
}

impl Program {
    fn file(&self) -> Option<&FileFacts> {
        if let Located::File(file, _) = &self.located { Some(file) } else { None }
    }

    fn path(&self) -> Option<&str> {
        if let Located::File(_, path) = &self.located { Some(path) } else { None }
    }

    fn names(&self) -> Vec<&str> {
        let real = self.file().map(FileFacts::name).filter(|real| *real != self.name);
        std::iter::once(self.name.as_str()).chain(real).collect()
    }

    fn marks(&self) -> Marks {
        self.file().map(|file| file.marks).unwrap_or_default()
    }

    fn is_script(&self) -> bool {
        self.file().is_some_and(|file| file.head.starts_with(b"#!"))
    }

    fn pid1(&self) -> Pid1 {
        let kind = match self.file() {
            Some(file) if is_elf(&file.head) => Kind::Elf,
            Some(_) if self.is_script() => Kind::Script,
            _ => Kind::Unknown,
        };
        Pid1 {
            program: self.name.clone(),
            path: self.file().map(|file| file.path.clone()),
            kind,
            layer: self.file().and_then(|file| file.layer),
        }
    }
}

impl Trail<'_> {
    /// Follows a command line to all of its ends.
    pub fn follow(&mut self, argv: &[Arg], process: Process, place: &Place) {
        self.later(argv, process, place);
        while let Some((argv, process, place)) = self.next() {
            self.run(&argv, process, &place);
        }
    }

    /// Follows a command line to its end.
    fn run(&mut self, argv: &[Arg], mut process: Process, place: &Place) {
        process.depth += 1;
        if !self.charge(1) {
            return self.end(End::Unclear(TOO_COMPLEX.into()), process, place);
        }
        if process.depth > MAX_DEPTH {
            return self.end(End::Unclear("the start script runs itself without end".into()), process, place);
        }
        let Some((first, args)) = argv.split_first() else {
            return self.end(End::Unclear("no command is given".into()), process, place);
        };
        let program = match first {
            Arg::One(value) => self.program(value, &process),
            Arg::Many(_) => None,
        };
        let Some(program) = program else {
            let end = match given(first) {
                Some(name) => End::Given(name.into()),
                None => End::Unclear(format!("the command `{}` is computed", first.shown())),
            };
            return self.end(end, process, place);
        };
        if let Located::Absent = program.located {
            self.note(place, format!("`{}` is not in the image's layers", first.shown()));
            let why = format!("`{}` is not in the image", first.shown());
            return self.end(End::Unclear(why), process, place);
        }
        if let Some(init) = self.init(&program, args) {
            return self.run_init(init, &program, args, process, place);
        }
        self.run_program(&program, first, args, process, place);
    }

    fn program(&mut self, value: &Value, process: &Process) -> Option<Program> {
        let name = value.file_name().filter(|name| !name.is_empty())?;
        let located = match value.likely() {
            Some(text) => self.locate(&text, process),
            None => Located::Unknown,
        };
        Some(Program { name, located })
    }

    fn init(&mut self, program: &Program, args: &[Arg]) -> Option<Init> {
        let path = program.path();
        let written = path.map(ToString::to_string);
        let applet = args.first().and_then(Arg::known);
        let is_busybox = program.names().contains(&"busybox");
        if program.name == "init" && program.marks().has(Mark::BusyBox)
            || is_busybox && matches!(applet.as_deref(), Some("init" | "linuxrc"))
        {
            return Some(programs::BUSYBOX_INIT);
        }
        let interpreter = program.file().and_then(|file| interpreter(&file.head));
        let is_execline =
            interpreter.is_some_and(|(path, _)| crate::inspect::files::file_name(&path) == "execlineb");
        let is_script = program.is_script() && !is_execline;
        programs::known_init(&program.names(), written.as_deref(), program.marks(), is_script)
    }

    fn run_init(&mut self, init: Init, program: &Program, args: &[Arg], mut process: Process, place: &Place) {
        let pid1 = program.pid1();
        let where_ = match (&place.file, place.line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            (Some(file), None) => file.to_string(),
            _ => "command line".into(),
        };
        let found = InitFound { name: init.name.into(), place: where_ };
        self.note(place, format!("{} is {}", program.name, init.name));
        let letters =
            init.command.map(|letters| (letters, wrappers::after_options(letters, &["--rewrite"], args)));
        let Some((_, Some(at))) = letters else {
            return self.end(End::Init(pid1, init, found), process, place);
        };
        let options: Vec<String> = args.iter().take(at).filter_map(Arg::known).collect();
        let rest = args.get(at..).unwrap_or_default().to_vec();
        if rest.is_empty() {
            return self.end(End::Unclear(format!("{} has no command to run", init.name)), process, place);
        }
        let has = |letter: char| {
            options
                .iter()
                .any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains(letter))
        };
        let is_single = has('c') || options.iter().any(|word| word == "--single-child");
        let groups_by_environment = ["TINI_KILL_PROCESS_GROUP", "REAPER_GROUP"]
            .iter()
            .any(|name| process.environment.contains_key(*name));
        let is_group = match init.stop {
            programs::Stop::ForwardToGroup => !is_single,
            _ => has('g') || groups_by_environment,
        };
        if process.under.is_none() {
            let is_from_script = process.is_from_script;
            process.under = Some(Rc::new(Under { init, pid1, found, is_group, is_from_script }));
            // The init reaps the jobs that it inherits.
            process.jobs.clear();
        }
        process.script = None;
        self.run(&rest, process, place);
    }

    fn run_program(
        &mut self,
        program: &Program,
        first: &Arg,
        args: &[Arg],
        mut process: Process,
        place: &Place,
    ) {
        let is_busybox = program.marks().has(Mark::BusyBox) || program.names().contains(&"busybox");
        if program.name == "busybox" {
            return match args.split_first() {
                Some((applet, rest)) => self.applet(applet, rest, process, place),
                None => self.end(End::Finishes, process, place),
            };
        }
        if !program.is_script() {
            if let Some(shell) = crate::inspect::shell::kind::of(&program.names(), program.marks()) {
                return crate::inspect::shell::start::start(
                    self,
                    shell,
                    &program.pid1(),
                    args,
                    process,
                    place,
                );
            }
            if let Some(wrapped) = wrappers::unwrap(&program.name, args, is_busybox) {
                return self.run_wrapped(wrapped, program, process, place);
            }
        } else if matches!(
            program.name.as_str(),
            "bundle" | "newrelic-admin" | "ddtrace-run" | "opentelemetry-instrument" | "gosu"
        ) && let Some(wrapped) = wrappers::unwrap(&program.name, args, false)
        {
            return self.run_wrapped(wrapped, program, process, place);
        }
        let known: Vec<Option<String>> = args.iter().map(Arg::known).collect();
        if let Some(facts) = programs::known(&program.names(), &known, program.marks()) {
            let pid1 = process.script.clone().unwrap_or_else(|| program.pid1());
            let is_language = matches!(programs::without_version(&program.name), "python" | "perl" | "ruby");
            let facts = if is_language && process.is_opaque { programs::NOTHING } else { facts };
            let is_python_module = programs::without_version(&program.name) == "python";
            let facts = if is_python_module { module(&known).unwrap_or(facts) } else { facts };
            return self.end(End::Program(pid1, facts), process, place);
        }
        match &program.located {
            Located::File(..) => self.run_file(program, first, args, process, place),
            Located::Absent | Located::Unknown if !process.is_from_script => {
                let why = format!("it is unknown what `{}` is", first.shown());
                self.end(End::Unclear(why), process, place);
            }
            Located::Absent | Located::Unknown => {
                let pid1 = process.script.take().unwrap_or_else(|| program.pid1());
                self.end(End::Program(pid1, programs::NOTHING), process, place);
            }
        }
    }

    fn run_file(
        &mut self,
        program: &Program,
        first: &Arg,
        args: &[Arg],
        mut process: Process,
        place: &Place,
    ) {
        let Located::File(file, path) = &program.located else { return };
        let path = path.as_str();
        let Some((interpreter, argument)) = interpreter(&file.head) else {
            if !is_elf(&file.head) && process.is_from_script && !file.head.contains(&0) {
                // Shells run a file that the kernel cannot execute as a script.
                let argv: Vec<Arg> =
                    [Arg::text("/bin/sh"), Arg::text(path)].into_iter().chain(args.iter().cloned()).collect();
                return self.run(&argv, process, place);
            }
            if !is_elf(&file.head) {
                let why = format!("the kernel cannot execute `{}`", first.shown());
                return self.end(End::Unclear(why), process, place);
            }
            let pid1 = process.script.take().unwrap_or_else(|| program.pid1());
            return self.end(End::Program(pid1, programs::NOTHING), process, place);
        };
        let script = Pid1 { kind: Kind::Script, ..program.pid1() };
        self.note(place, format!("{} is a script for {interpreter}", first.shown()));
        process.script.get_or_insert(script);
        process.is_opaque |= !self.charge_text(&file.head) || tells_of_processes(&file.head);
        let argv = [Some(Arg::text(interpreter)), argument.map(Arg::text), Some(Arg::text(path))];
        let argv: Vec<Arg> = argv.into_iter().flatten().chain(args.iter().cloned()).collect();
        self.run(&argv, process, place);
    }

    fn applet(&mut self, applet: &Arg, args: &[Arg], process: Process, place: &Place) {
        let name = applet.known().unwrap_or_default();
        if crate::inspect::shell::kind::is_ash(&name) {
            let pid1 = Pid1 { program: "busybox".into(), path: None, kind: Kind::Elf, layer: None };
            return crate::inspect::shell::start::start(
                self,
                crate::inspect::shell::kind::ShellKind::Ash,
                &pid1,
                args,
                process,
                place,
            );
        }
        let program = Program { name: name.clone(), located: Located::Unknown };
        if let Some(wrapped) = wrappers::unwrap(&name, args, true) {
            return self.run_wrapped(wrapped, &program, process, place);
        }
        let known: Vec<Option<String>> = args.iter().map(Arg::known).collect();
        let is_plain = matches!(name.as_str(), "sleep" | "tail" | "cat");
        let facts = programs::known(&[&name], &known, Marks::default()).filter(|_| is_plain);
        self.end(End::Program(program.pid1(), facts.unwrap_or(programs::NOTHING)), process, place);
    }

    fn run_wrapped(&mut self, wrapped: Wrapped, program: &Program, mut process: Process, place: &Place) {
        match wrapped {
            Wrapped::Exec(changes) => {
                let command = changes.command.clone();
                apply(&mut process, changes);
                self.run(&command, process, place);
            }
            Wrapped::Child(command) => {
                let line: Vec<String> = command.iter().map(Arg::shown).collect();
                self.note(place, format!("{} runs `{}` as its child", program.name, line.join(" ")));
                self.end(End::Program(program.pid1(), programs::parent(&program.name)), process, place);
            }
            Wrapped::Unclear => {
                let why = format!("it is unknown what `{}` does with its arguments", program.name);
                self.end(End::Unclear(why), process, place);
            }
        }
    }
}

/// Returns whether a script contains the names of calls that execute another program or wait for any child.
fn tells_of_processes(text: &[u8]) -> bool {
    let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
    has(b"exec") || has(b"waitpid") || has(b"os.wait")
}

/// Returns the environment variable that is a command's entire name.
fn given(first: &Arg) -> Option<&str> {
    let source = match first {
        Arg::One(value) => match value.parts.as_slice() {
            [crate::inspect::shell::value::Part::Unknown(source)] => source,
            _ => return None,
        },
        Arg::Many(source) => source,
    };
    let name = source.strip_prefix('$')?;
    let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    (is_name && !name.starts_with(|c: char| c.is_ascii_digit())).then_some(source)
}

/// Returns the facts about `python -m NAME`.
fn module(args: &[Option<String>]) -> Option<Facts> {
    let at = args.iter().position(|arg| arg.as_deref() == Some("-m"))?;
    let name = args.get(at + 1)?.as_deref()?;
    matches!(name, "gunicorn" | "uvicorn" | "celery" | "supervisor.supervisord").then_some(())?;
    programs::known(&[name.strip_prefix("supervisor.").unwrap_or(name)], args, Marks::default())
}
