//! Command lines without start scripts: shells with `-c`, wrappers, inits and Kubernetes containers.

use crate::image::Image;
use reapify::inspect::{Action, Answer, NoFiles, Start, Step, Verdict, Way};

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).into()).collect()
}

fn judged(shell: &str, command: &[&str]) -> Verdict {
    let start = Start { cmd: words(command), ..Start::default() };
    let mut image = Image::new(shell);
    for _ in 0..8 {
        match reapify::inspect::judge(&start, &image).unwrap() {
            Step::Done(verdict) => return *verdict,
            Step::Wants(paths) => image.read(paths),
        }
    }
    panic!("{command:?} asks for more and more files")
}

fn bare(command: &[&str], args: &[&str]) -> Verdict {
    match reapify::inspect::judge_command(&words(command), &words(args), None, &NoFiles).unwrap() {
        Step::Done(verdict) => *verdict,
        Step::Wants(paths) => panic!("{paths:?}"),
    }
}

/// Whether the last command of `sh -c` is executed without a fork, measured with dash 0.5.12, bash 5.2 and BusyBox
/// 1.35.
#[test]
fn shells_differ_in_which_command_they_execute() {
    for (line, dash, bash, ash) in [
        ("sleep 9", false, true, true),
        ("true && sleep 9", false, true, true),
        ("true; sleep 9", false, true, true),
        ("true\nsleep 9", false, true, true),
        ("sleep 9 >/dev/null", false, false, true),
        ("A=b sleep 9", false, true, true),
        ("if true; then sleep 9; fi", false, false, true),
        ("{ sleep 9; }", false, false, true),
        ("(sleep 9)", false, false, true),
        ("trap 'echo' TERM; sleep 9", false, false, false),
        ("trap 'echo' EXIT; sleep 9", false, false, false),
        ("f() { sleep 9; }; f", false, false, false),
        ("false || sleep 9", false, true, true),
        ("! sleep 9", false, false, false),
        ("true | sleep 9", false, false, false),
        ("sleep 5 & sleep 9", false, false, true),
        ("command sleep 9", false, true, true),
        ("eval sleep 9", false, false, false),
        ("set -e; sleep 9", false, true, true),
        ("true && sleep 9 || true", false, false, false),
        ("case a in a) sleep 9;; esac", false, false, true),
        ("exec sleep 9", true, true, true),
    ] {
        for (shell, execs) in [("dash", dash), ("bash", bash), ("ash", ash)] {
            let line = line.replace("sleep 9", "java -jar a.jar");
            let way = judged(shell, &["sh", "-c", &line]).way;
            assert_eq!(way, if execs { Way::Script } else { Way::None }, "{shell}: {line}");
        }
    }
}

#[test]
fn programs_become_pid_1() {
    for (command, orphans, term) in [
        (&["redis-server"][..], Answer::No, Answer::Yes),
        (&["nginx", "-g", "daemon off;"], Answer::Yes, Answer::Yes),
        (&["gosu", "app", "nginx"], Answer::Yes, Answer::Yes),
        (&["tail", "-f", "/dev/null"], Answer::No, Answer::No),
        (&["java", "-jar", "a.jar"], Answer::No, Answer::Yes),
        (&["npm", "start"], Answer::No, Answer::Unknown),
        (&["python", "-m", "gunicorn", "app"], Answer::Yes, Answer::Yes),
        (&["supervisord", "-n"], Answer::Yes, Answer::Yes),
        (&["etcd"], Answer::No, Answer::Yes),
    ] {
        let verdict = judged("dash", command);
        assert_eq!((verdict.way, verdict.holds), (Way::Service, Answer::Yes), "{command:?}");
        assert_eq!((verdict.orphans_reaped, verdict.term_reaches_service), (orphans, term), "{command:?}");
    }
}

#[test]
fn recognises_inits_before_programs() {
    for (command, term) in [
        (&["tini", "--", "node", "a.js"][..], Answer::Yes),
        (&["tini", "-v", "-e", "143", "-p", "SIGTERM", "--", "node", "a.js"], Answer::Yes),
        (&["dumb-init", "-r", "15:2", "node", "a.js"], Answer::Yes),
        (&["dumb-init", "--", "sh", "-c", "node a.js"], Answer::Unknown),
        (&["dumb-init", "-c", "sh", "-c", "node a.js"], Answer::No),
        (&["tini", "--", "sh", "-c", "exec node a.js"], Answer::Yes),
        (&["gosu", "app", "catatonit", "--", "node"], Answer::Yes),
    ] {
        let verdict = judged("dash", command);
        assert_eq!((verdict.way, verdict.holds), (Way::Init, Answer::Yes), "{command:?}");
        assert_eq!(
            (verdict.orphans_reaped, verdict.term_reaches_service),
            (Answer::Yes, term),
            "{command:?}"
        );
        assert!(verdict.init.is_some());
    }
}

#[test]
fn an_init_started_by_a_shell_is_not_pid_1() {
    let verdict = judged("dash", &["sh", "-c", "mkdir -p /x && tini -- node a.js"]);
    assert_eq!((verdict.way, verdict.holds), (Way::Init, Answer::No));
    assert_eq!(verdict.recommendation.action, Action::Fix);
    let verdict = judged("dash", &["sh", "-c", "exec tini -- node a.js"]);
    assert_eq!((verdict.way, verdict.holds), (Way::Init, Answer::Yes));
}

#[test]
fn a_shell_without_a_command_starts_no_service() {
    let verdict = judged("dash", &["bash"]);
    assert_eq!((verdict.way, verdict.orphans_reaped), (Way::None, Answer::Yes));
    assert_eq!(verdict.term_reaches_service, Answer::No);
}

#[test]
fn recommends_to_fix_a_job_that_the_service_inherits() {
    let verdict = judged("dash", &["sh", "-c", "node agent.js & exec redis-server"]);
    assert_eq!(verdict.recommendation.action, Action::Fix);
    assert!(verdict.recommendation.why.contains("line 1"), "{}", verdict.recommendation.why);
    assert!(verdict.background_jobs[0].stays);
}

#[test]
fn words_alone_give_only_certain_answers() {
    let verdict = bare(&["sh", "-c", "node a.js"], &[]);
    assert_eq!((verdict.way, verdict.holds), (Way::Unknown, Answer::Unknown));
    let verdict = bare(&["bash", "-c", "echo start; while true; do ./job; sleep 9; done"], &[]);
    assert_eq!((verdict.way, verdict.term_reaches_service), (Way::None, Answer::No));
    let verdict = bare(&["sh", "-c", "exec nginx"], &[]);
    assert_eq!((verdict.way, verdict.holds, verdict.orphans_reaped), (Way::Script, Answer::Yes, Answer::Yes));
    let verdict = bare(&["/app/start.sh"], &["--port", "80"]);
    assert_eq!((verdict.way, verdict.orphans_reaped), (Way::Unknown, Answer::Unknown));
    assert_eq!(verdict.starts, ["/app/start.sh", "--port", "80"]);
    let verdict = bare(&[], &[]);
    assert_eq!(verdict.way, Way::Unknown);
}

#[test]
fn a_command_replaces_the_entrypoint_and_its_arguments() {
    let image = Start { entrypoint: words(&["tini", "--"]), cmd: words(&["node"]), ..Start::default() };
    let Step::Done(verdict) =
        reapify::inspect::judge_command(&[], &words(&["redis-server"]), Some(&image), &NoFiles).unwrap()
    else {
        panic!()
    };
    assert_eq!(
        (verdict.starts.as_slice(), verdict.way),
        (&words(&["tini", "--", "redis-server"])[..], Way::Init)
    );
    let Step::Done(verdict) =
        reapify::inspect::judge_command(&words(&["redis-server"]), &[], Some(&image), &NoFiles).unwrap()
    else {
        panic!()
    };
    assert_eq!((verdict.starts.as_slice(), verdict.way), (&words(&["redis-server"])[..], Way::Service));
}

#[test]
fn a_script_of_sh_c_receives_the_shells_arguments() {
    let mut image = Image::new("dash");
    image.add_script("/run.sh", "#!/bin/sh\nexec \"$@\"\n");
    let start = Start {
        entrypoint: words(&["sh", "-c", "exec /run.sh \"$0\" \"$@\"", "redis-server", "-x"]),
        ..Start::default()
    };
    let verdict = loop {
        match reapify::inspect::judge(&start, &image).unwrap() {
            Step::Done(verdict) => break verdict,
            Step::Wants(paths) => image.read(paths),
        }
    };
    assert_eq!((verdict.way, verdict.pid1.program.as_str()), (Way::Script, "redis-server"));
}

#[test]
fn does_not_judge_programs_missing_from_the_image() {
    let verdict = judged("dash", &["/opt/none/redis-server"]);
    assert_eq!((verdict.way, verdict.orphans_reaped), (Way::Unknown, Answer::Unknown));
    assert_eq!(verdict.term_reaches_service, Answer::Unknown);
    assert_eq!(judged("dash", &["no-such-program"]).way, Way::Unknown);
}

#[test]
fn a_verdict_has_stable_fields() {
    let verdict = judged("dash", &["tini", "--", "sh", "-c", "job & exec redis-server"]);
    let json = serde_json::to_value(&verdict).unwrap();
    let fields: Vec<&String> = json.as_object().unwrap().keys().collect();
    let expected = [
        "background_jobs",
        "evidence",
        "holds",
        "init",
        "must_be_pid1",
        "orphans_reaped",
        "pid1",
        "recommendation",
        "starts",
        "term_reaches_service",
        "way",
    ];
    assert_eq!(fields, expected);
    assert_eq!(json["pid1"]["program"], "tini");
    assert_eq!(json["pid1"]["kind"], "elf");
    assert_eq!(json["init"]["where"], "command line");
    assert_eq!(json["background_jobs"][0]["line"], 1);
    assert_eq!(json["recommendation"]["action"], "fix");
}
