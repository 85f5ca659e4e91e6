//! The conclusion: from the ends of all paths through the start to a verdict.

use crate::inspect::process::{End, Outcome, Under};
use crate::inspect::programs::{Init, Stop};
use crate::inspect::shell::kind::{ShellKind, Stay};
use crate::inspect::trail::Trail;
use crate::inspect::verdict::{
    Action, Answer, BackgroundJob, Evidence, InitFound, Kind, Pid1, Recommendation, Verdict, Way,
};

/// The conclusion from one path through the start.
struct Single {
    pid1: Pid1,
    way: Way,
    holds: Answer,
    reaps: Answer,
    term: Answer,
    init: Option<InitFound>,
    must_be_pid1: bool,
}

impl Single {
    /// Returns the conclusion for a program of which only the name is known.
    fn unknown(program: String) -> Self {
        Single {
            pid1: Pid1 { program, path: None, kind: Kind::Unknown, layer: None },
            way: Way::Unknown,
            holds: Answer::Unknown,
            reaps: Answer::Unknown,
            term: Answer::Unknown,
            init: None,
            must_be_pid1: false,
        }
    }
}

/// Draws the verdict from a walk that needs no more files.
pub fn verdict(starts: Vec<String>, trail: Trail) -> Verdict {
    let stop = trail.stop.clone();
    let mut running: Vec<&Outcome> =
        trail.outcomes.iter().filter(|outcome| !matches!(outcome.end, End::Fails | End::Finishes)).collect();
    // If the image itself names no such program, the one that the container names does not count.
    if running.iter().any(|outcome| !matches!(outcome.end, End::Given(_))) {
        running.retain(|outcome| !matches!(outcome.end, End::Given(_)));
    }
    let finishing = trail.outcomes.iter().find(|outcome| matches!(outcome.end, End::Finishes));
    let singles: Vec<Single> = running.iter().map(|outcome| single(outcome, &stop)).collect();
    let merged = singles.into_iter().reduce(merge).unwrap_or_else(|| nothing(&starts, finishing));
    let mut evidence = evidence(&trail, &running);
    if merged.holds == Answer::Depends || merged.reaps == Answer::Depends || merged.term == Answer::Depends {
        evidence.extend(trail.forks.iter().cloned());
    }
    let mut background_jobs: Vec<BackgroundJob> = trail
        .jobs
        .iter()
        .map(|job| BackgroundJob { file: job.file.to_string(), line: job.line, stays: job.stays })
        .collect();
    background_jobs.sort();
    background_jobs.dedup();
    let recommendation = recommend(&merged, &background_jobs, &stop);
    Verdict {
        starts,
        pid1: merged.pid1,
        way: merged.way,
        holds: merged.holds,
        orphans_reaped: merged.reaps,
        term_reaches_service: merged.term,
        init: merged.init,
        must_be_pid1: merged.must_be_pid1,
        background_jobs,
        evidence,
        recommendation,
    }
}

/// Returns the conclusion if no path leads to a service.
fn nothing(starts: &[String], finishing: Option<&Outcome>) -> Single {
    let program =
        starts.first().map_or_else(String::new, |word| crate::inspect::files::file_name(word).into());
    let under = finishing.and_then(|outcome| outcome.process.under.clone());
    if let Some(under) = under {
        return Single { term: Answer::Unknown, ..of_init(&under.pid1, &under.init, &under.found) };
    }
    Single::unknown(program)
}

fn single(outcome: &Outcome, stop: &str) -> Single {
    let process = &outcome.process;
    let mut single = match (&process.under, &outcome.end) {
        (Some(under), end) => under_init(under, end, stop),
        (None, End::Init(pid1, init, found)) => {
            let mut single = of_init(pid1, init, found);
            single.term = match (init.stop, stop) {
                (Stop::Stops, "TERM") => Answer::Yes,
                (Stop::Drops, "TERM") => Answer::No,
                (_, "RTMIN+3") if init.name == "systemd" => Answer::Yes,
                (_, "KILL") => Answer::No,
                _ => Answer::Unknown,
            };
            single
        }
        (None, End::Program(pid1, facts)) => Single {
            pid1: pid1.clone(),
            way: if process.is_from_script { Way::Script } else { Way::Service },
            holds: Answer::Yes,
            reaps: facts.reaps,
            term: if process.ignores_stop { Answer::Unknown } else { facts.acts_on(stop, true) },
            init: None,
            must_be_pid1: false,
        },
        (None, End::Shell(stay)) => of_shell(stay),
        (None, End::Given(_) | End::Unclear(_) | End::Fails | End::Finishes) => {
            Single::unknown(String::new())
        }
    };
    if process.doubt.is_some() && single.init.is_none() {
        single.holds = Answer::Unknown;
    }
    single
}

fn of_init(pid1: &Pid1, init: &Init, found: &InitFound) -> Single {
    Single {
        pid1: pid1.clone(),
        way: Way::Init,
        holds: Answer::Yes,
        reaps: if init.name.contains("pause") || init.name == "go-init" {
            Answer::Unknown
        } else {
            Answer::Yes
        },
        term: Answer::Unknown,
        init: Some(found.clone()),
        must_be_pid1: init.must_be_pid1,
    }
}

fn of_shell(stay: &Stay) -> Single {
    let reaps = match stay.kind {
        Some(ShellKind::Other) => Answer::Unknown,
        _ => Answer::Yes,
    };
    let way = if stay.init.is_some() { Way::Init } else { Way::None };
    let init = stay.init.as_ref().map(|(_, found)| found.clone());
    Single {
        pid1: stay.pid1.clone(),
        way,
        holds: Answer::No,
        reaps,
        term: stay.forwards,
        init,
        must_be_pid1: false,
    }
}

/// Returns the conclusion for a path that ends in a child of an init.
fn under_init(under: &Under, end: &End, stop: &str) -> Single {
    let mut single = of_init(&under.pid1, &under.init, &under.found);
    let forwards = match (under.init.stop, stop) {
        (_, "KILL") => Answer::No,
        (Stop::Forward | Stop::ForwardToGroup | Stop::ForwardToAll, _) => Answer::Yes,
        _ => Answer::Unknown,
    };
    let reaches = match end {
        End::Program(_, facts) => facts.acts_on(stop, false),
        // Without a trap the signal ends the shell, and the init then ends the service.
        End::Shell(stay) => match under.init.stop {
            _ if stay.forwards != Answer::No => stay.forwards,
            Stop::ForwardToAll if !stay.has_trap => Answer::Yes,
            _ if under.is_group => Answer::Unknown,
            _ => Answer::No,
        },
        _ => Answer::Unknown,
    };
    single.term = if forwards == Answer::Yes { reaches } else { forwards };
    single
}

fn merge(one: Single, two: Single) -> Single {
    if one.way == two.way {
        return Single {
            holds: one.holds.or(two.holds),
            reaps: one.reaps.or(two.reaps),
            term: one.term.or(two.term),
            must_be_pid1: one.must_be_pid1 || two.must_be_pid1,
            ..one
        };
    }
    let rank = |way: Way| match way {
        Way::Init => 4,
        Way::Script => 3,
        Way::Service => 2,
        Way::None => 1,
        Way::Unknown => 0,
    };
    let (better, worse) = if rank(one.way) >= rank(two.way) { (one, two) } else { (two, one) };
    let is_unknown =
        worse.way == Way::Unknown || better.holds == Answer::Unknown || worse.holds == Answer::Unknown;
    let way = if is_unknown && better.way == Way::None { Way::Unknown } else { better.way };
    Single {
        way,
        holds: if is_unknown { Answer::Unknown } else { Answer::Depends },
        reaps: better.reaps.or(worse.reaps),
        term: better.term.or(worse.term),
        must_be_pid1: better.must_be_pid1 || worse.must_be_pid1,
        ..better
    }
}

fn evidence(trail: &Trail, running: &[&Outcome]) -> Vec<Evidence> {
    let mut evidence = trail.notes.clone();
    let mut push = |outcome: &Outcome, what: String| {
        let place = &outcome.place;
        let file = place.file.as_ref().map(ToString::to_string);
        let found = Evidence { file, line: place.line.filter(|line| *line > 0), layer: place.layer, what };
        if !evidence.contains(&found) && evidence.len() < 300 {
            evidence.push(found);
        }
    };
    for outcome in running {
        match &outcome.end {
            End::Unclear(why) => push(outcome, format!("undetermined: {why}")),
            End::Given(source) => push(outcome, format!("undetermined: the command is `{source}`")),
            End::Shell(stay) => {
                let service = stay.service.as_deref().unwrap_or("commands from its input");
                push(outcome, format!("the shell stays and waits for {service}"));
            }
            End::Program(pid1, _) => push(outcome, format!("the start ends in {}", pid1.program)),
            _ => {}
        }
        if let Some(doubt) = &outcome.process.doubt {
            push(outcome, doubt.to_string());
        }
    }
    for job in trail.jobs.iter().filter(|job| job.stays) {
        let what = format!("`{}` runs in the background and becomes a child of the service", job.name);
        evidence.push(Evidence {
            file: Some(job.file.to_string()),
            line: Some(job.line),
            layer: job.layer,
            what,
        });
    }
    evidence
}

fn recommend(single: &Single, jobs: &[BackgroundJob], stop: &str) -> Recommendation {
    let advice = |action: Action, why: String| Recommendation { action, why };
    if single.must_be_pid1 {
        return advice(
            Action::Leave,
            format!("do not wrap this image: {} must be PID 1", single.pid1.program),
        );
    }
    if let Some(job) = jobs.iter().find(|job| job.stays) {
        let why = format!(
            "an init does not help: line {} of {} starts a job that the service inherits",
            job.line, job.file
        );
        return advice(Action::Fix, why);
    }
    match (single.way, single.reaps, single.term) {
        (Way::Init, ..) if single.holds == Answer::No => {
            advice(Action::Fix, "the init is not PID 1: start it with `exec`, or as the entrypoint".into())
        }
        (Way::Init, Answer::Yes, Answer::No) if single.holds == Answer::Yes => advice(
            Action::Fix,
            format!("SIG{stop} ends the start script but not the service: start the service with `exec`"),
        ),
        (Way::Init, Answer::Yes, _) if single.holds == Answer::Yes => {
            advice(Action::None, "an init is PID 1".into())
        }
        (Way::None, ..) => {
            advice(Action::Wrap, format!("a shell stays as PID 1 and keeps SIG{stop} from the service"))
        }
        (_, Answer::Yes, Answer::No) => advice(Action::Wrap, format!("PID 1 ignores SIG{stop}")),
        (_, Answer::Yes, Answer::Depends) => advice(
            Action::Wrap,
            format!("on some paths through the start script SIG{stop} does not reach the service"),
        ),
        (_, Answer::Yes, _) => advice(Action::None, format!("{} reaps orphans", single.pid1.program)),
        (_, Answer::No | Answer::Depends, _) => {
            advice(Action::Wrap, format!("{} does not reap orphans", single.pid1.program))
        }
        _ => advice(
            Action::Wrap,
            "it is unknown whether orphans are reaped; adding a reaper is harmless".into(),
        ),
    }
}
