//! Hostile scripts: the judge neither panics nor hangs.

use crate::image::Image;
use reapify::inspect::{Files, Found, NoFiles, Start, Step, Verdict};
use std::time::{Duration, Instant};

fn quick(name: &str, script: &str) -> Option<Verdict> {
    let start = Instant::now();
    let verdict = reapify::inspect::fuzz_script(script.as_bytes());
    if std::env::var_os("SHOW").is_some() {
        eprintln!("{name}: {:?}", start.elapsed());
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{name}: {:?}", start.elapsed());
    verdict
}

#[test]
fn terminates_on_deep_nesting() {
    for depth in [20, 99, 5_000] {
        for (open, middle, close) in [
            ("( ", "a", ")"),
            ("(", "a", ")"),
            ("{ ", "a;", "};"),
            ("if ", "a;", " then b; fi;"),
            ("if a; then ", "a;", "fi;"),
            ("case x in y) ", "a", ";; esac "),
            ("$(", "a", ")"),
            ("\"$(", "a", ")\""),
            ("${x:-", "a", "}"),
            ("f() { ", "a;", "};"),
            ("<(", "a", ")"),
            ("while a; do ", "a;", "done;"),
            ("((", "a", "))"),
            ("$((", "1", "))"),
            ("[[ ( ", "a", ") ]]"),
            ("`", "a", "`"),
            ("eval '", "a", "'"),
            ("for x in a b; do ", "a;", "done;"),
            ("! ", "a", ""),
            ("x=(", "a", ")"),
        ] {
            quick(open, &format!("{}{middle}{}", open.repeat(depth), close.repeat(depth)));
            quick(open, &open.repeat(depth));
        }
    }
}

#[test]
fn terminates_on_many_paths() {
    let ifs: String = (0..200).map(|at| format!("if [ \"$A{at}\" ]; then B{at}=$A{at}; fi\n")).collect();
    quick("ifs", &format!("{ifs}exec redis-server\n"));
    let jobs: String = (0..2000).map(|at| format!("run{at} &\n")).collect();
    quick("jobs", &format!("{jobs}exec redis-server\n"));
    let sets: String = (0..300).map(|at| format!("[ $X{at} ] && set -- \"$@\" a{at}\n")).collect();
    quick("sets", &format!("{sets}exec \"$@\"\n"));
    let functions: String = (0..40).map(|at| format!("f{at}() {{ f{}; f{}; }}\n", at + 1, at + 1)).collect();
    quick("functions", &format!("{functions}f0\n"));
    let doubled = "x=$x$x\n".repeat(60);
    quick("doubled", &format!("x=abc\n{doubled}exec \"$x\"\n"));
    let arrays = "a=(\"${a[@]}\" \"${a[@]}\")\n".repeat(60);
    quick("arrays", &format!("a=(1 2)\n{arrays}exec \"${{a[@]}}\"\n"));
    let args = "set -- \"$@\" \"$@\"\n".repeat(40);
    quick("args", &format!("{args}exec \"$@\"\n"));
    quick("loops", &format!("{}:{}", "for a in 1 2 3 4 5 6 7 8; do ".repeat(30), "; done".repeat(30)));
    quick("count", "x=0\nwhile [ $x -lt 1000000 ]; do x=$((x+1)); done\nexec redis-server\n");
    quick("defaults", &format!("exec {}", "${a:-${b:-".repeat(40)));
    quick("words", &"a ".repeat(30_000));
    quick("newlines", &"\n".repeat(60_000));
    quick("heredocs", &"cat <<A\n".repeat(7_000));
    quick("eval", &"eval eval eval eval eval x\n".repeat(2_000));
    quick("forks", &"[ $x ] && exec redis-server\n".repeat(2_000));
    quick("exec", &format!("{}\nexec redis-server", "[ $x ] && exec sh /entrypoint.sh a\n".repeat(50)));
}

/// Scripts whose cost grows faster than their length are given up, and the verdict says so.
#[test]
fn the_verdict_on_a_costly_script_is_unknown_with_the_reason() {
    let calls = |name: &str, end: &str| -> String {
        let call =
            |at: usize| format!("{name}{at}(){{ {};}}\n", vec![format!("{name}{}", at + 1); 8].join(";"));
        let functions: String = (0..14).map(call).collect();
        format!("{functions}{name}14(){{ {end};}}\n")
    };
    let forwards = format!("{}trap 'k0; kill $!' TERM\nrun &\nwait\n", calls("k", ":"));
    let waits = format!("{}trap 'kill $!; k0' TERM\nrun &\nwait\n", calls("k", ":"));
    let on_exit = format!("{}trap 'k0; kill $!' EXIT\nrun\n", calls("k", ":"));
    let doubled = format!("x=abcdefgh\n{}", "x=$x$x\n".repeat(10));
    let array = format!("{doubled}a=(\"$x\")\n{}", "a=(\"${a[@]}\" \"${a[@]}\")\n".repeat(5));
    let copies: String = (0..4_000).map(|at| format!("v{at}=$x\n")).collect();
    let arrays: String = (0..2_000).map(|at| format!("v{at}=(\"${{a[@]}}\")\n")).collect();
    let round = "for i in 1 2 3 4 5 6 7 8 9; do ";
    let rounds = |what: &str| format!("{}{what}{}\n", round.repeat(5), "; done".repeat(5));
    let subshell = format!("( {} )", "a & ".repeat(5_000));
    let case = format!("case $y in {} esac", "*b*b*b*b*b*b*b*b*c) a;; ".repeat(1_000));
    let text = format!("y='{}'\n", "b".repeat(10_000));
    for (name, script) in [
        ("calls in a trap", forwards),
        ("calls in a trap that may wait", waits),
        ("calls in a trap of EXIT", on_exit),
        ("copies", format!("{doubled}{copies}exec redis-server\n")),
        ("copies of arrays", format!("{array}{arrays}exec redis-server\n")),
        ("jobs in a loop", format!("{}exec redis-server\n", rounds(&subshell))),
        ("patterns", format!("{text}{}exec redis-server\n", rounds(&case))),
        ("stripping", format!("z={}\n{}exec redis-server\n", "b".repeat(900), rounds("x=${z#*c*c*b*d}"))),
        ("eval", format!("t='{}'\n{}exec redis-server\n", "a ".repeat(20_000), rounds("eval \"$t\""))),
        ("itself", format!("{}#{}\n", "[ $x ] && exec sh /entrypoint.sh\n".repeat(500), "#".repeat(40_000))),
    ] {
        let verdict = quick(name, &script).expect("no file is missing");
        let is_given_up = verdict.evidence.iter().any(|found| found.what.contains("too complex to follow"));
        assert!(is_given_up, "{name}: {verdict:#?}");
        assert_eq!(verdict.holds, reapify::inspect::Answer::Unknown, "{name}: {verdict:#?}");
    }
}

#[test]
fn words_do_not_grow_without_end() {
    for script in ["a=(1 2)\nb=(", "set -- 1 2\nexec "] {
        let list = if script.starts_with('a') { "${a[@]}" } else { "$@" };
        quick("spread", &format!("{}\n", script.to_string() + "\"" + &list.repeat(6_000)));
        let doubled = "x=abcdefgh\n".to_string() + &"x=$x$x\n".repeat(10);
        quick("pieces", &format!("{doubled}y=\"{}\"\nexec \"$y\"\n", "$x$u".repeat(5_000)));
    }
}

/// A container from YAML has no layers, but its command may be a script.
#[test]
fn a_costly_command_is_unknown() {
    let calls: String =
        (0..14).map(|at| format!("k{at}(){{ {};}};", vec![format!("k{}", at + 1); 20].join(";"))).collect();
    let script = format!("{calls}trap 'k0' TERM; run & wait");
    let words = ["sh".to_string(), "-c".into(), script];
    let Step::Done(verdict) = reapify::inspect::judge_command(&words, &[], None, &NoFiles).unwrap() else {
        panic!("no file is missing");
    };
    assert!(verdict.evidence.iter().any(|found| found.what.contains("too complex")), "{verdict:#?}");
}

/// Files that make the judge panic.
struct Faulty;

impl Files for Faulty {
    fn find(&self, _: &str) -> Found {
        panic!("a fault in the judge");
    }
}

#[test]
fn a_fault_in_the_judge_is_an_error() {
    let start = Start { entrypoint: vec!["/app".into()], ..Start::default() };
    let error = reapify::inspect::judge(&start, &Faulty).unwrap_err();
    assert!(error.to_string().contains("internal error"), "{error}");
    assert!(reapify::inspect::judge(&start, &Image::new("dash")).is_ok());
}

#[test]
fn judges_mutated_scripts() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below.max(1) as u64).unwrap()
    };
    let scripts: Vec<Vec<u8>> = std::fs::read_dir("testdata/scripts")
        .unwrap()
        .map(|entry| std::fs::read(entry.unwrap().path()).unwrap())
        .collect();
    let tokens = [
        "(", ")", "\"", "'", "`", "$(", "${", "}", ";;", "&", "&&", "||", "|", "\n", "exec ", "eval ", "if ",
        "fi", "done", "do ", "case ", "esac", "<<A", "[[", "]]", "((", "))", "\\", "$@", "set -- ", "shift ",
        "while ", "\0", "\u{ff}", "trap ", ". ",
    ];
    let rounds: usize = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(400);
    for _ in 0..rounds {
        let mut script = scripts[random(scripts.len())].clone();
        for _ in 0..1 + random(6) {
            let at = random(script.len() + 1);
            match random(4) {
                0 => drop(script.splice(at..at, tokens[random(tokens.len())].bytes())),
                1 => script.truncate(at),
                2 => {
                    let end = (at + random(40)).min(script.len());
                    script.drain(at..end);
                }
                _ => {
                    let other = &scripts[random(scripts.len())];
                    let from = random(other.len());
                    script.splice(at..at, other[from..(from + random(200)).min(other.len())].iter().copied());
                }
            }
        }
        let start = Instant::now();
        reapify::inspect::fuzz_script(&script);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}\n{}", String::from_utf8_lossy(&script));
    }
}
