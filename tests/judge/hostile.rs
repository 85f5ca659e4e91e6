//! Hostile scripts: the judge neither panics nor hangs.

use std::time::{Duration, Instant};

fn quick(name: &str, script: &str) {
    let start = Instant::now();
    reapify::inspect::fuzz_script(script.as_bytes());
    if std::env::var_os("SHOW").is_some() {
        eprintln!("{name}: {:?}", start.elapsed());
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{name}: {:?}", start.elapsed());
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
