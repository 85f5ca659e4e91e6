//! The walk from a command line to the program that ends up as PID 1.

use crate::inspect::files::{FileFacts, Files, Found, Mark, Marks};
use crate::inspect::locate::{DEFAULT_PATH, Located, interpreter, is_elf, locate};
use crate::inspect::programs::{self, Facts, Init};
use crate::inspect::shell::state::{Slot, State, Trap};
use crate::inspect::shell::value::{Arg, Value, Variable};
use crate::inspect::start::User;
use crate::inspect::verdict::{Evidence, InitFound, Kind, Pid1};
use crate::inspect::wrappers::{self, Changes, Wrapped};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

/// Command lines are followed no deeper than this.
const MAX_DEPTH: u32 = 24;

/// Where a command stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The script; `None` for the image's config.
    pub file: Option<Arc<str>>,
    /// The line in it.
    pub line: Option<u32>,
    /// The layer of the script.
    pub layer: Option<usize>,
}

/// A process on its way to the program that it ends up as.
#[derive(Debug, Clone)]
pub struct Process {
    /// The environment.
    pub environment: Rc<BTreeMap<String, Slot>>,
    /// The working directory.
    pub directory: Option<String>,
    /// The user.
    pub user: User,
    /// The init whose child the process is.
    pub under: Option<Rc<Under>>,
    /// Whether a shell replaced itself with the process.
    pub is_from_script: bool,
    /// The background jobs that the process inherits as its children.
    pub jobs: Vec<usize>,
    /// Whether the stop signal was ignored when the program was started.
    pub ignores_stop: bool,
    /// The script whose interpreter the process is.
    pub script: Option<Pid1>,
    /// Why nothing is sure.
    pub doubt: Option<Arc<str>>,
    /// Whether paths mean other files than those of the image.
    pub is_in_other_root: bool,
    /// How many command lines were followed.
    pub depth: u32,
}

/// An init with a child.
#[derive(Debug, Clone, PartialEq)]
pub struct Under {
    /// The init.
    pub init: Init,
    /// The init as PID 1.
    pub pid1: Pid1,
    /// Where it was started.
    pub found: InitFound,
    /// Whether it forwards signals to its child's group.
    pub is_group: bool,
    /// Whether a shell replaced itself with the init.
    pub is_from_script: bool,
}

/// What a way through the start ends in.
#[derive(Debug, Clone)]
pub enum End {
    /// A program.
    Program(Pid1, Facts),
    /// An init that runs no command of the image's.
    Init(Pid1, Init, InitFound),
    /// A shell that stays, and what it waits for.
    Shell(crate::inspect::shell::Stay),
    /// The end of the container, with an error.
    Fails,
    /// The end of the container without a service.
    Finishes,
    /// A program that an environment variable names, where neither the image nor the script sets it.
    Given(String),
    /// Something that cannot be followed, and why.
    Unclear(String),
}

/// One way through the start.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Its end.
    pub end: End,
    /// The process that ends there.
    pub process: Process,
    /// Where the last step was taken.
    pub place: Place,
}

/// A background job.
#[derive(Debug, Clone)]
pub struct Job {
    /// The script.
    pub file: Arc<str>,
    /// The line.
    pub line: u32,
    /// The layer of the script.
    pub layer: Option<usize>,
    /// The program's name.
    pub name: String,
    /// Whether it ends up as the child of a program that did not start it.
    pub stays: bool,
}

/// The walk with all that it has found.
pub struct Judge<'f> {
    files: &'f dyn Files,
    /// The paths that must be read.
    pub wants: BTreeSet<String>,
    /// The ends of all ways.
    pub outcomes: Vec<Outcome>,
    /// The background jobs.
    pub jobs: Vec<Job>,
    /// The conditions on which the way depends.
    pub forks: Vec<Evidence>,
    /// Other facts.
    pub notes: Vec<Evidence>,
    /// How many commands were judged.
    pub steps: u32,
    /// The stop signal.
    pub stop: String,
}

/// A program as it was found.
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

impl<'f> Judge<'f> {
    /// A walk that has found nothing yet.
    pub fn new(files: &'f dyn Files, stop: String) -> Self {
        Judge {
            files,
            stop,
            wants: BTreeSet::new(),
            outcomes: Vec::new(),
            jobs: Vec::new(),
            forks: Vec::new(),
            notes: Vec::new(),
            steps: 0,
        }
    }

    /// Looks a path up, and asks for it if it has not been read.
    pub fn find(&mut self, path: &str) -> Found {
        let found = self.files.find(path);
        if let Found::Unread = found {
            self.wants.insert(path.into());
        }
        found
    }

    /// Ends a way.
    pub fn end(&mut self, end: End, process: Process, place: &Place) {
        if matches!(end, End::Program(..) | End::Init(..)) {
            for job in &process.jobs {
                if let Some(job) = self.jobs.get_mut(*job) {
                    job.stays = true;
                }
            }
        }
        self.outcomes.push(Outcome { end, process, place: place.clone() });
    }

    /// Notes a fact.
    pub fn note(&mut self, place: &Place, what: String) {
        let file = place.file.as_ref().map(ToString::to_string);
        let evidence = Evidence { file, line: place.line, layer: place.layer, what };
        if !self.notes.contains(&evidence) && self.notes.len() < 200 {
            self.notes.push(evidence);
        }
    }

    /// Finds a program as `execvp` does in a process.
    pub fn locate(&mut self, name: &str, process: &Process) -> Located {
        if process.is_in_other_root {
            return Located::Unknown;
        }
        let path = match process.environment.get("PATH").map(|slot| &slot.value) {
            Some(Variable::Scalar(value)) => value.known(),
            Some(_) => None,
            None => Some(DEFAULT_PATH.into()),
        };
        let wants = &mut self.wants;
        locate(self.files, name, path.as_deref(), process.directory.as_deref(), &mut |path| {
            _ = wants.insert(path)
        })
    }

    /// Follows a command line to its end.
    pub fn run(&mut self, argv: &[Arg], mut process: Process, place: &Place) {
        process.depth += 1;
        self.steps += 1;
        if process.depth > MAX_DEPTH {
            return self.end(End::Unclear("the start runs itself over and over".into()), process, place);
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
        let is_there = !matches!(program.located, Located::Absent);
        if let Some(init) = self.init(&program, args).filter(|_| is_there) {
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
        programs::known_init(&program.names(), written.as_deref(), program.marks(), program.is_script())
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
            return self.end(End::Unclear(format!("{} is given no command", init.name)), process, place);
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
            if let Some(shell) = crate::inspect::shell::kind(&program.names(), program.marks()) {
                return crate::inspect::shell::start(self, shell, &program.pid1(), args, process, place);
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
            let facts = if matches!(program.located, Located::Absent) { programs::NOTHING } else { facts };
            let is_python_module = programs::without_version(&program.name) == "python";
            let facts = if is_python_module { module(&known).unwrap_or(facts) } else { facts };
            return self.end(End::Program(pid1, facts), process, place);
        }
        match &program.located {
            Located::File(file, path) => self.run_file(program, file, path, first, args, process, place),
            Located::Absent => {
                self.note(place, format!("{} is not in the image's layers", first.shown()));
                self.end(End::Unclear(format!("`{}` is not in the image", first.shown())), process, place);
            }
            Located::Unknown => {
                let pid1 = process.script.take().unwrap_or_else(|| program.pid1());
                self.end(End::Program(pid1, programs::NOTHING), process, place);
            }
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn run_file(
        &mut self,
        program: &Program,
        file: &FileFacts,
        path: &str,
        first: &Arg,
        args: &[Arg],
        mut process: Process,
        place: &Place,
    ) {
        let Some((interpreter, argument)) = interpreter(&file.head) else {
            if !is_elf(&file.head) && process.is_from_script && !file.head.contains(&0) {
                // Shells run a file that the kernel refuses as a script.
                let argv: Vec<Arg> =
                    [Arg::text("/bin/sh"), Arg::text(path)].into_iter().chain(args.iter().cloned()).collect();
                return self.run(&argv, process, place);
            }
            let pid1 = process.script.take().unwrap_or_else(|| program.pid1());
            return self.end(End::Program(pid1, programs::NOTHING), process, place);
        };
        let script = Pid1 { kind: Kind::Script, ..program.pid1() };
        self.note(place, format!("{} is a script for {interpreter}", first.shown()));
        process.script.get_or_insert(script);
        let argv = [Some(Arg::text(interpreter)), argument.map(Arg::text), Some(Arg::text(path))];
        let argv: Vec<Arg> = argv.into_iter().flatten().chain(args.iter().cloned()).collect();
        self.run(&argv, process, place);
    }

    fn applet(&mut self, applet: &Arg, args: &[Arg], process: Process, place: &Place) {
        let name = applet.known().unwrap_or_default();
        if crate::inspect::shell::is_ash(&name) {
            let pid1 = Pid1 { program: "busybox".into(), path: None, kind: Kind::Elf, layer: None };
            return crate::inspect::shell::start(
                self,
                crate::inspect::shell::ShellKind::Ash,
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
                let why = format!("what `{}` does with its arguments cannot be told", program.name);
                self.end(End::Unclear(why), process, place);
            }
        }
    }
}

/// The environment variable that is a command's name as a whole.
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

/// The facts of `python -m NAME`.
fn module(args: &[Option<String>]) -> Option<Facts> {
    let at = args.iter().position(|arg| arg.as_deref() == Some("-m"))?;
    let name = args.get(at + 1)?.as_deref()?;
    matches!(name, "gunicorn" | "uvicorn" | "celery" | "supervisor.supervisord").then_some(())?;
    programs::known(&[name.strip_prefix("supervisor.").unwrap_or(name)], args, Marks::default())
}

fn apply(process: &mut Process, changes: Changes) {
    if changes.clears {
        process.environment = Rc::default();
    }
    let environment = Rc::make_mut(&mut process.environment);
    for name in &changes.unset {
        environment.remove(name);
    }
    for (name, value) in changes.set {
        environment.insert(name, Slot { value: Variable::Scalar(value), is_exported: true });
    }
    if let Some(user) = &changes.user {
        process.user = User::parse(user);
    }
    if let Some(directory) = changes.directory {
        process.directory =
            Some(crate::inspect::locate::join(process.directory.as_deref().unwrap_or("/"), &directory));
    }
    process.is_in_other_root |= changes.is_in_other_root;
}

impl Process {
    /// The process that a shell becomes with `exec`.
    pub fn replaced(&self, state: &State) -> Process {
        let exported = state.variables.iter().filter(|(_, slot)| slot.is_exported);
        Process {
            environment: Rc::new(exported.map(|(name, slot)| (name.clone(), slot.clone())).collect()),
            directory: state.directory.clone(),
            is_from_script: true,
            jobs: self.jobs.iter().chain(&state.jobs).copied().collect(),
            ignores_stop: self.ignores_stop || state.trap == Trap::Ignored,
            script: None,
            doubt: self.doubt.clone().or_else(|| state.doubt.clone()),
            ..self.clone()
        }
    }
}
