//! The words that users read: help, manual pages, completions, errors with their hints, and reports. They change on
//! purpose only: `INSTA_UPDATE=always cargo test --test words` records new ones.

mod support;

use insta::assert_snapshot;
use support::image::Image;
use support::registry::Registry;
use support::run::{Outcome, reapify, tool};
use support::{project, scratch, zombies};

/// The commands, with their subcommands.
const COMMANDS: [&str; 16] = [
    "wrap",
    "unwrap",
    "inspect",
    "verify",
    "pod",
    "mirror",
    "mirror once",
    "mirror check",
    "mirror server",
    "mirror config",
    "mirror tags",
    "mirror schema",
    "reaper",
    "completions",
    "man",
    "help",
];

const TOPICS: [&str; 4] = ["environment", "exit-codes", "reaper-options", "transports"];

/// Keeps snapshots independent of where they are taken.
fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings
}

fn words(command: &str) -> Vec<&str> {
    command.split(' ').collect()
}

#[test]
fn help_of_every_command() {
    let _settings = settings().bind_to_scope();
    assert_snapshot!("help", reapify(["--help"]).run().succeeds().text());
    assert_snapshot!("help-short", reapify(["-h"]).run().succeeds().text());
    for command in COMMANDS {
        let long = reapify(["help"]).args(words(command)).run().succeeds().text();
        assert_snapshot!(format!("help-{}", command.replace(' ', "-")), long);
        let asked = reapify(words(command)).arg("--help").run().succeeds().text();
        assert_eq!(long.trim_end(), asked.trim_end(), "`help {command}` and `{command} --help`");
    }
    for topic in TOPICS {
        assert_snapshot!(format!("help-{topic}"), reapify(["help", topic]).run().succeeds().text());
    }
}

#[test]
fn manual_pages() {
    let _settings = settings().bind_to_scope();
    let dir = scratch();
    reapify(["man", "--dir"]).arg(dir.path()).run().succeeds();
    let mut pages: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    assert_eq!(pages.len(), COMMANDS.len() + 1);
    let texts: Vec<String> = pages.iter().map(|page| std::fs::read_to_string(page).unwrap()).collect();
    let all = reapify(["man"]).run().succeeds().text();
    for (page, text) in pages.iter().zip(&texts) {
        assert!(all.contains(text.trim_end()), "{}", page.display());
    }
    for name in ["reapify.1", "reapify-wrap.1", "reapify-mirror-once.1"] {
        let text = std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_snapshot!(format!("man-{name}"), text.replace(env!("CARGO_PKG_VERSION"), "VERSION"));
    }
}

#[test]
fn completions_of_every_shell() {
    let _settings = settings().bind_to_scope();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = reapify(["completions", shell]).run().succeeds().text();
        assert!(script.contains("backup"), "{shell}");
        // Elvish and PowerShell complete no values.
        let has_values = matches!(shell, "bash" | "fish" | "zsh");
        for word in ["docker-archive", "linux/arm64"].iter().filter(|_| has_values) {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    assert_snapshot!("completions-fish", reapify(["completions", "fish"]).run().succeeds().text());
}

#[test]
fn bash_completes_values_where_they_are_taken() {
    let script = reapify(["completions", "bash"]).run().succeeds().text();
    // Bash splits words at `=`; a word that is only `=` is completed as an empty one.
    let asked = r#"
        compopt() { options="$*"; }
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); options=
        word="${COMP_WORDS[COMP_CWORD]}"
        _reapify_words reapify "${word#=}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s ' "${COMPREPLY[@]}"; echo "$options""#;
    let completed = |words: &str| {
        let run = tool("bash", ["-c", &format!("{script}\n{asked}"), "bash"]).args(words.split(' '));
        run.run().succeeds().text().trim_end().to_owned()
    };
    for (words, values) in [
        ("reapify inspect --check =", "needed strict"),
        ("reapify inspect --check = s", "strict"),
        ("reapify inspect --check s", ""),
        ("reapify wrap --if-init = w", "wrap"),
        ("reapify wrap --if-init w", "wrap"),
        ("reapify wrap --platform = linux/am", "linux/amd64"),
        ("reapify wrap --platform linux/amd64,linux/s", "linux/amd64,linux/s390x"),
        ("reapify reaper linux/am", "linux/amd64"),
        ("reapify help exit", "exit-codes"),
        ("reapify inspect docker-arch", "docker-archive: -o nospace"),
        ("reapify mirr", "mirror"),
    ] {
        assert_eq!(completed(words), values, "{words}");
    }
}

/// What a command printed, with the paths and hosts of the test replaced.
fn said(outcome: &Outcome, replaced: &[(String, &str)]) -> String {
    let mut text = format!("exit code {}\n{}", outcome.code(), outcome.stderr());
    for (from, to) in replaced {
        text = text.replace(from, to);
    }
    text
}

#[test]
fn errors_and_hints() {
    let _settings = settings().bind_to_scope();
    let (dir, registry) = (scratch(), Registry::start());
    Image::small().in_registry(&registry, "app", "1.25.3");
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("app.tar.gz"), [0x1f, 0x8b, 8, 0]).unwrap();
    std::fs::write(path("list"), "only-one-name\n").unwrap();
    std::fs::write(path("regsync.yml"), "version: 1\nsyncs: []\n").unwrap();
    let (zombies, out) = (zombies(), format!("oci:{}", path("out:v1")));
    let host = registry.host().to_string();
    let replaced = [
        (dir.path().display().to_string(), "DIR"),
        (host.clone(), "HOST"),
        (project("").display().to_string(), "PROJECT/"),
    ];
    let app = |tag: &str| format!("{host}/app:{tag}");
    let cases: Vec<(&str, Vec<String>)> = vec![
        ("missing-names", vec!["wrap".into()]),
        ("unknown-option", vec!["wrap".into(), "--reepar".into()]),
        ("unknown-command", vec!["wrapp".into()]),
        ("unknown-topic", vec!["help".into(), "nonsense".into()]),
        ("unknown-transport", vec!["wrap".into(), "docker-archiv:app.tar".into(), out.clone()]),
        (
            "unknown-transport-of-destination",
            vec!["wrap".into(), zombies.clone(), "docker-archiv:app.tar".into()],
        ),
        ("unsupported-transport", vec!["wrap".into(), "dir:app".into(), out.clone()]),
        ("podman-storage", vec!["wrap".into(), "containers-storage:app".into(), out.clone()]),
        ("archive-without-transport", vec!["inspect".into(), path("app.tar.gz")]),
        (
            "layout-without-transport",
            vec!["inspect".into(), project("testdata/zombies").display().to_string()],
        ),
        ("invalid-repository", vec!["wrap".into(), "HOST/App:v1".into(), out.clone()]),
        (
            "digest-as-destination",
            vec!["wrap".into(), zombies.clone(), format!("{host}/app@sha256:{}", "0".repeat(64))],
        ),
        ("missing-tag", vec!["inspect".into(), app("1.25")]),
        ("missing-repository", vec!["inspect".into(), format!("{host}/none:1")]),
        ("missing-layout", vec!["inspect".into(), format!("oci:{}", path("none"))]),
        (
            "missing-platform",
            vec!["wrap".into(), zombies.clone(), out.clone(), "--platform=linux/none".into()],
        ),
        ("invalid-platform", vec!["wrap".into(), zombies.clone(), out.clone(), "--platform=linux".into()]),
        ("invalid-grace", vec!["wrap".into(), zombies.clone(), out.clone(), "--grace=banana".into()]),
        (
            "invalid-reaper-option",
            vec!["wrap".into(), zombies.clone(), out.clone(), "--reaper-arg=--nope".into()],
        ),
        ("relative-path", vec!["wrap".into(), zombies.clone(), out.clone(), "--path=reaper".into()]),
        ("clobber", vec!["wrap".into(), zombies.clone(), app("1.25.3"), "--no-clobber".into()]),
        (
            "backup-in-archive",
            vec![
                "wrap".into(),
                zombies.clone(),
                format!("docker-archive:{}", path("x.tar")),
                "--backup=old".into(),
            ],
        ),
        ("invalid-list", vec!["wrap".into(), "--batch".into(), path("list")]),
        ("not-wrapped", vec!["verify".into(), zombies.clone()]),
        ("nothing-to-unwrap", vec!["unwrap".into(), zombies.clone(), out.clone()]),
        ("invalid-mirror", vec!["mirror".into(), "once".into(), "-c".into(), path("regsync.yml")]),
        ("no-engine", vec!["inspect".into(), "docker-daemon:app".into()]),
    ];
    for (name, args) in cases {
        let run = reapify(args).env("DOCKER_HOST", format!("unix://{}", path("socket")));
        assert_snapshot!(format!("error-{name}"), said(&run.run(), &replaced));
    }
}

#[test]
fn reports() {
    let _settings = settings().bind_to_scope();
    let dir = scratch();
    let at = |name: &str| format!("oci:{}:{name}", dir.path().join("out").display());
    let replaced =
        [(dir.path().display().to_string(), "DIR"), (project("").display().to_string(), "PROJECT/")];
    let shown = |outcome: Outcome| {
        let outcome = outcome.succeeds();
        let mut text = format!("{}\n---\n{}", outcome.text(), outcome.stderr());
        for (from, to) in &replaced {
            text = text.replace(from, to);
        }
        text
    };
    assert_snapshot!("dry-run", shown(reapify(["wrap", "--dry-run", &zombies(), &at("v1")]).run()));
    assert_snapshot!("wrap", shown(reapify(["wrap", &zombies(), &at("v1")]).run()));
    assert_snapshot!("wrap-again", shown(reapify(["wrap", &zombies(), &at("v1")]).run()));
    assert_snapshot!(
        "wrap-with-backup",
        shown(reapify(["wrap", "--group", "--backup", "old", &zombies(), &at("v1")]).run())
    );
    assert_snapshot!("inspect-plain", shown(reapify(["inspect", "--no-cache", &zombies()]).run()));
    assert_snapshot!("inspect-wrapped", shown(reapify(["inspect", "--no-cache", &at("v1")]).run()));
    assert_snapshot!("verify", shown(reapify(["verify", "-v", "--source", &zombies(), &at("v1")]).run()));
    assert_snapshot!("unwrap", shown(reapify(["unwrap", &at("v1"), &at("original")]).run()));
    // The width of the table depends on the names, so they must not contain the path of a directory.
    let table = reapify(["inspect", "--no-cache", "oci:out:original", "oci:out:v1"]).dir(dir.path()).run();
    assert_snapshot!("inspect-table", shown(table));
}
