//! The sources of credentials, their precedence, and where they must never be sent: files, helpers, the environment
//! and the command line.

mod support;

use std::path::PathBuf;
use support::image::{Image, file};
use support::registry::{Auth, Bearer, Registry};
use support::run::{Outcome, Run, reapify, tool};
use support::scratch;

const USER: &str = "ann";
const PASSWORD: &str = "s3cret";
/// `ann:s3cret`, as files and headers contain it.
const BASIC: &str = "YW5uOnMzY3JldA==";
/// `bob:wr0ng`.
const WRONG: &str = "Ym9iOndyMG5n";

/// A registry with an image that requires a password.
struct Guarded {
    registry: Registry,
    from: String,
}

impl Guarded {
    fn new() -> Self {
        let registry = Registry::start();
        let from = Image::new().layer(&[file("a", b"content")]).in_registry(&registry, "team/app", "v1");
        registry.set(|s| s.auth = Auth::Basic { user: USER.into(), password: PASSWORD.into() });
        Guarded { registry, from }
    }

    fn host(&self) -> String {
        self.registry.host()
    }

    /// Runs the most verbose command.
    fn inspect(&self) -> Run {
        reapify(["inspect", "-vvv", "--retries", "0", "--output", "json", &self.from])
    }

    /// Returns the path of a Docker or Podman file with an entry for this host.
    fn knows(&self, auth: &str) -> String {
        format!(r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#, self.host())
    }
}

/// Programs on PATH.
struct Programs(tempfile::TempDir);

impl Programs {
    fn new() -> Self {
        Programs(scratch())
    }

    /// Adds a helper that records its input and then runs these lines.
    fn helper(&self, name: &str, lines: &str) {
        let path = self.0.path().join(format!("docker-credential-{name}"));
        let asked = self.asked_path(name).display().to_string();
        let script = format!("#!/bin/sh\n{{ echo \"$@\"; cat; echo; }} >>'{asked}'\n{lines}\n");
        // The file is not written by this process, because a concurrent fork could keep it open for writing while it
        // is executed.
        let path = path.display().to_string();
        tool("install", ["-m", "755", "/dev/stdin", &path]).stdin(script).run().succeeds();
    }

    fn asked_path(&self, name: &str) -> PathBuf {
        self.0.path().join(format!("{name}.asked"))
    }

    /// Returns the recorded input of a helper.
    fn asked(&self, name: &str) -> String {
        std::fs::read_to_string(self.asked_path(name)).unwrap_or_default()
    }

    fn path(&self) -> String {
        let rest = std::env::var("PATH").unwrap_or_default();
        format!("{}:{rest}", self.0.path().display())
    }
}

fn no_secrets(outcome: Outcome) -> Outcome {
    outcome.never_says(PASSWORD).never_says("YW5uOnMzY3JldA").never_says("wr0ng").never_says("Ym9iOndyMG5n")
}

const ANSWER: &str = r#"echo '{"ServerURL":"x","Username":"ann","Secret":"s3cret"}'"#;

#[test]
fn passes_the_registry_name_to_helpers() {
    let guarded = Guarded::new();
    let programs = Programs::new();
    programs.helper("keys", ANSWER);
    let config = format!(r#"{{"credHelpers": {{"{}": "keys"}}}}"#, guarded.host());
    for file in [".docker/config.json", ".config/containers/auth.json"] {
        let run = guarded.inspect().env("PATH", programs.path()).home_file(file, &config);
        no_secrets(run.run().succeeds());
    }
    assert_eq!(programs.asked("keys"), format!("get\n{}\n", guarded.host()).repeat(2));
}

#[test]
fn host_helpers_precede_the_store_and_the_store_precedes_the_file() {
    let guarded = Guarded::new();
    let host = guarded.host();
    let programs = Programs::new();
    programs.helper("right", ANSWER);
    programs.helper("wrong", r#"echo '{"Username":"bob","Secret":"wr0ng"}'"#);
    programs.helper("empty", "echo 'credentials not found in native keychain'; exit 1");
    let auths = |auth: &str| format!(r#""auths": {{"{host}": {{"auth": "{auth}"}}}}"#);
    let helper = |name: &str| format!(r#""credHelpers": {{"{host}": "{name}"}}"#);
    let store = |name: &str| format!(r#""credsStore": "{name}""#);
    let run = |parts: &[String]| {
        let config = format!("{{{}}}", parts.join(","));
        let run = guarded.inspect().env("PATH", programs.path()).home_file(".docker/config.json", &config);
        no_secrets(run.run())
    };
    run(&[helper("right"), store("wrong"), auths(WRONG)]).succeeds();
    assert_eq!(programs.asked("wrong"), "");
    run(&[store("right"), auths(WRONG)]).succeeds();
    run(&[helper("wrong"), store("right"), auths(BASIC)]).exits(4);
    // If the store has nothing, the file may; the empty entry that `docker login` writes is not one.
    run(&[store("empty"), auths(BASIC)]).succeeds();
    run(&[store("empty"), format!(r#""auths": {{"{host}": {{}}}}"#)]).exits(4);
    run(&[store("empty")]).exits(4).says("docker login");
}

#[test]
fn errors_name_failing_helpers_but_no_secrets() {
    let guarded = Guarded::new();
    let programs = Programs::new();
    programs.helper("locked", "echo 'the keychain is locked' >&2; exit 1");
    // Standard output may contain a secret, and standard error may repeat it.
    programs.helper("leaks", &format!("{ANSWER}; echo 'no use for s3cret, ann' >&2; exit 4"));
    programs.helper("half", r#"echo '{"Username":"ann","Secret":"s3cret'; echo 'cannot unlock' >&2; exit 5"#);
    programs.helper("traced", r#"set -x; true '{"Username":"ann","Secret":"s3cret"}'; exit 6"#);
    programs.helper("bare", "echo s3cret; exit 7");
    programs.helper("flood", "yes 'noise of the keychain' | head -c 3000000 >&2; exit 8");
    programs.helper("torn", r#"echo '{"Username":"ann","Secret":"s3cret"'"#);
    programs.helper("list", r#"echo '["s3cret"]'"#);
    programs.helper("deaf", "exec <&-; exit 3");
    let run = |name: &str| {
        let config = format!(r#"{{"credHelpers": {{"{}": "{name}"}}}}"#, guarded.host());
        let run = guarded.inspect().env("PATH", programs.path()).home_file(".docker/config.json", &config);
        no_secrets(run.run())
    };
    run("locked")
        .exits(4)
        .says("docker-credential-locked")
        .says("the keychain is locked")
        .says("use --creds");
    run("leaks").exits(4).says("docker-credential-leaks").says("exit status: 4");
    run("half").exits(4).says("exit status: 5: cannot unlock");
    run("traced").exits(4).says("exit status: 6");
    run("bare").exits(4).says("exit status: 7");
    assert!(run("flood").exits(4).says("exit status: 8: noise of the keychain").stderr.len() < 2000);
    run("torn").exits(4).says("its answer is malformed");
    run("list").exits(4).says("its answer is malformed");
    run("deaf").exits(4).says("docker-credential-deaf");
    run("missing").exits(4).says("docker-credential-missing").says("No such file");
    // A helper's name is not a path or a command line.
    run("../../bin/sh").exits(1).says("invalid credential helper name");
    run("keys; touch x").exits(4).says("No such file");
}

#[test]
fn exchanges_identity_tokens_of_helpers_and_files() {
    let guarded = Guarded::new();
    let bearer = Bearer { identity_token: Some("1dent1ty".into()), ..Bearer::new(USER, PASSWORD) };
    guarded.registry.set(|s| s.auth = Auth::Bearer(bearer));
    let programs = Programs::new();
    programs.helper("keys", r#"echo '{"Username":"<token>","Secret":"1dent1ty"}'"#);
    let host = guarded.host();
    for config in [
        format!(r#"{{"credHelpers": {{"{host}": "keys"}}}}"#),
        format!(r#"{{"auths": {{"{host}": {{"auth": "{BASIC}", "identitytoken": "1dent1ty"}}}}}}"#),
    ] {
        let run = guarded.inspect().env("PATH", programs.path()).home_file(".docker/config.json", &config);
        run.run().succeeds().never_says("1dent1ty");
        let said = guarded.registry.log().everything_said();
        assert!(!said.contains(BASIC), "the token is what is sent: {said}");
    }
}

#[test]
fn uses_the_longest_namespace_of_the_first_matching_file() {
    let guarded = Guarded::new();
    let host = guarded.host();
    let podman = ".config/containers/auth.json";
    let entries = |entries: &[(&str, &str)]| {
        let entries: Vec<String> = entries
            .iter()
            .map(|(key, auth)| format!(r#""{}": {{"auth": "{auth}"}}"#, key.replace("HOST", &host)))
            .collect();
        format!(r#"{{"auths": {{{}}}}}"#, entries.join(","))
    };
    let run = |podman_file: &[(&str, &str)], docker_file: &[(&str, &str)]| {
        let run = guarded.inspect();
        let run = run.home_file(podman, &entries(podman_file));
        no_secrets(run.home_file(".docker/config.json", &entries(docker_file)).run())
    };
    run(&[("HOST/team/app", BASIC), ("HOST/team", WRONG), ("HOST", WRONG)], &[]).succeeds();
    run(&[("HOST/team", BASIC), ("HOST", WRONG), ("HOST/tea", WRONG)], &[]).succeeds();
    run(&[("HOST", BASIC), ("HOST/other", WRONG), ("HOST/team/app/more", WRONG)], &[]).succeeds();
    run(&[("HOST/other", WRONG)], &[("https://HOST/v2/", BASIC)]).succeeds();
    run(&[("HOST", BASIC)], &[("HOST", WRONG)]).succeeds();
    run(&[("HOST", WRONG)], &[("HOST", BASIC)]).exits(4);
}

#[test]
fn finds_files_where_docker_and_podman_do() {
    let guarded = Guarded::new();
    let dir = scratch();
    let write = |path: &str, auth: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(&path, guarded.knows(auth)).expect("a file");
        path.display().to_string()
    };
    let named = write("named.json", BASIC);
    let of_docker = write("docker/config.json", BASIC);
    let of_run = write("run/containers/auth.json", BASIC);
    let of_config = write("config/containers/auth.json", BASIC);
    let parent = |path: &str, up: usize| {
        PathBuf::from(path).ancestors().nth(up).expect("a directory").display().to_string()
    };
    let wrong = guarded.knows(WRONG);
    let run = || guarded.inspect().home_file(".docker/config.json", &wrong);
    no_secrets(run().env("DOCKER_CONFIG", parent(&of_docker, 1)).run().succeeds());
    no_secrets(run().env("XDG_RUNTIME_DIR", parent(&of_run, 2)).run().succeeds());
    no_secrets(run().env("XDG_CONFIG_HOME", parent(&of_config, 2)).run().succeeds());
    no_secrets(run().env("REGISTRY_AUTH_FILE", &named).run().succeeds());
    let entries = format!(r#"{{"https://{}/v1/": {{"auth": "{BASIC}"}}}}"#, guarded.host());
    no_secrets(guarded.inspect().home_file(".dockercfg", &entries).run().succeeds());
    no_secrets(run().args(["--authfile", &named]).run().succeeds());
    run().args(["--authfile", "/nowhere.json"]).run().exits(2).says("/nowhere.json");
    let torn = dir.path().join("torn.json");
    std::fs::write(&torn, format!(r#"{{"auths": {{"x": {{"auth": "{BASIC}""#)).expect("a file");
    let outcome = run().args(["--authfile", &torn.display().to_string()]).run();
    no_secrets(outcome.exits(1).says("torn.json are malformed at line 1"));
}

#[test]
fn options_precede_files_and_each_side_has_its_own() {
    let guarded = Guarded::new();
    let other = Registry::start();
    other.set(|s| s.auth = Auth::Basic { user: "eve".into(), password: "0ther".into() });
    let to = other.name("copy", "v1");
    let config = guarded.knows(WRONG);
    let wrap = |to: &str| {
        let run = reapify(["wrap", "-vvv", "--output", "json", "--retries", "0", &guarded.from, to]);
        run.home_file(".docker/config.json", &config)
    };
    let clean = |outcome: Outcome| no_secrets(outcome.never_says("0ther").never_says("ZXZlOjB0aGVy"));
    clean(wrap(&to).args(["--src-creds", "ann:s3cret", "--dest-creds", "eve:0ther"]).run().succeeds());
    let from_env = wrap(&other.name("copy", "v2"))
        .env("REAPIFY_SRC_CREDS", "ann:s3cret")
        .env("REAPIFY_DEST_CREDS", "eve:0ther");
    clean(from_env.run().succeeds());
    other.complete("copy", "v2");
    // The command line takes precedence over the environment.
    let both = wrap(&to).env("REAPIFY_SRC_CREDS", "bob:wr0ng").args(["--src-creds", "ann:s3cret"]);
    clean(both.args(["--dest-creds", "eve:0ther"]).run().succeeds());
    // When swapped, the credentials are valid for neither host.
    let swapped = wrap(&to).args(["--dest-creds", "ann:s3cret", "--src-creds", "eve:0ther"]);
    clean(swapped.run().exits(4));
    guarded.registry.clear_log();
    other.clear_log();
    clean(wrap(&to).args(["--src-creds", "ann:s3cret", "--dest-creds", "eve:0ther"]).run().succeeds());
    assert!(!guarded.registry.log().everything_said().contains("ZXZlOjB0aGVy"));
    assert!(!other.log().everything_said().contains(BASIC));
    // Secrets from the environment do not appear in `--help`.
    reapify(["wrap", "--help"]).env("REAPIFY_SRC_CREDS", "ann:s3cret").run().succeeds().never_says(PASSWORD);
}

#[test]
fn treats_empty_credentials_as_none() {
    // A public registry grants tokens without a login, but refuses a wrong user name.
    let registry = Registry::start();
    let from = Image::small().in_registry(&registry, "app", "v1");
    let bearer = Bearer { anonymous_pull: true, ..Bearer::new(USER, PASSWORD) };
    registry.set(|s| s.auth = Auth::Bearer(bearer));
    let host = registry.host();
    let programs = Programs::new();
    programs.helper("void", r#"echo '{"ServerURL":"","Username":"","Secret":""}'"#);
    programs.helper("null", "echo null");
    for config in [
        format!(r#"{{"credHelpers": {{"{host}": "void"}}}}"#),
        format!(r#"{{"credHelpers": {{"{host}": "null"}}}}"#),
        format!(r#"{{"credHelpers": {{"{host}": ""}}, "credsStore": null, "auths": null}}"#),
        r#"{"credsStore": "void"}"#.into(),
        format!(r#"{{"auths": {{"{host}": {{"auth": "Og=="}}}}}}"#),
        format!(r#"{{"auths": {{"{host}": {{"username": "", "password": ""}}}}}}"#),
        format!(r#"{{"auths": {{"{host}": null}}}}"#),
        "null".into(),
        "\n".into(),
        String::new(),
    ] {
        let run = reapify(["inspect", "--retries", "0", &from]).env("PATH", programs.path());
        run.home_file(".docker/config.json", &config).run().succeeds();
    }
    let run = |args: &[&str]| reapify(["inspect", "--retries", "0", &from]).args(args).run();
    run(&["--src-creds", ":"]).succeeds();
    run(&["--authfile", "/dev/null"]).succeeds();
    // If one file has no entry, the next one is read.
    let guarded = Guarded::new();
    let run = guarded.inspect().home_file(".config/containers/auth.json", &guarded.knows("Og=="));
    no_secrets(run.home_file(".docker/config.json", &guarded.knows(BASIC)).run().succeeds());
}

#[test]
fn verify_sends_credentials_only_to_their_own_host() {
    let guarded = Guarded::new();
    let other = Registry::start();
    let wrapped = other.name("copy", "v1");
    reapify(["wrap", &guarded.from, &wrapped]).args(["--src-creds", "ann:s3cret"]).run().succeeds();
    other.set(|s| s.auth = Auth::Basic { user: "eve".into(), password: "0ther".into() });
    let verify = |args: &[&str]| {
        guarded.registry.clear_log();
        other.clear_log();
        let command = ["verify", "-vvv", "--retries", "0", &wrapped, "--source", &guarded.from];
        let outcome = reapify(command).args(args).stdin("s3cret\n").run();
        assert!(!other.log().everything_said().contains(BASIC), "{outcome}");
        assert!(!guarded.registry.log().everything_said().contains("ZXZlOjB0aGVy"), "{outcome}");
        no_secrets(outcome.never_says("0ther").never_says("ZXZlOjB0aGVy"))
    };
    let both = ["--src-creds", "eve:0ther", "--source-creds", "ann:s3cret"];
    verify(&both).succeeds();
    verify(&["--src-creds", "eve:0ther", "--source-creds", "ann", "--source-password-stdin"]).succeeds();
    // Credentials given for one host are not sent to the other.
    verify(&["--src-creds", "eve:0ther"]).exits(4);
    verify(&["--source-creds", "ann:s3cret"]).exits(4);
    verify(&["--src-creds", "x", "--src-password-stdin", "--source-creds", "y", "--source-password-stdin"])
        .exits(2);
    let from_env = reapify(["verify", &wrapped, "--source", &guarded.from])
        .env("REAPIFY_SRC_CREDS", "eve:0ther")
        .env("REAPIFY_SOURCE_CREDS", "ann:s3cret");
    from_env.run().succeeds();
}

#[test]
fn verify_uses_one_login_for_two_images_of_one_host() {
    let guarded = Guarded::new();
    let wrapped = guarded.registry.name("copy", "v1");
    let creds = ["--src-creds", "ann:s3cret", "--dest-creds", "ann:s3cret"];
    reapify(["wrap", &guarded.from, &wrapped]).args(creds).run().succeeds();
    let verify = |args: &[&str]| {
        let run = reapify(["verify", "--retries", "0", &wrapped, "--source", &guarded.from]).args(args);
        no_secrets(run.stdin("s3cret\n").run())
    };
    verify(&["--src-creds", "ann:s3cret"]).succeeds();
    // Standard input is read once.
    verify(&["--src-creds", "ann", "--src-password-stdin"]).succeeds();
    verify(&["--src-creds", "ann:s3cret", "--source-creds", "bob:wr0ng"]).exits(4);
}

#[test]
fn reads_standard_input_only_once() {
    let guarded = Guarded::new();
    let password = ["--src-creds", "ann", "--src-password-stdin"];
    let second = ["--source-creds", "ann", "--source-password-stdin"];
    let pod = reapify(["pod", "--images", "-"]).args(password).stdin("s3cret");
    no_secrets(pod.run().exits(2).says("standard input"));
    for (image, source, args) in [
        ("oci-archive:-", guarded.from.as_str(), &password[..]),
        (&guarded.from, "oci-archive:-", &password[..]),
        (&guarded.from, "oci-archive:-", &second[..]),
        ("oci-archive:-", "docker-archive:-", &[]),
    ] {
        let run = reapify(["verify", image, "--source", source]).args(args).stdin("s3cret");
        no_secrets(run.run().exits(2).says("standard input"));
    }
}

#[test]
fn errors_name_the_refused_login_or_the_files_searched() {
    let guarded = Guarded::new();
    let host = guarded.host();
    let inspect = |args: &[&str]| guarded.inspect().args(args);
    let refused = |run: Run| no_secrets(run.run().exits(4));
    refused(inspect(&["--src-creds", "bob:wr0ng"])).says("user bob from --src-creds was refused");
    refused(inspect(&[]).env("REAPIFY_SRC_CREDS", "bob:wr0ng"))
        .says("user bob from REAPIFY_SRC_CREDS was refused");
    let config = guarded.knows(WRONG);
    refused(inspect(&[]).home_file(".docker/config.json", &config))
        .says("user bob from")
        .says("config.json was refused");
    let programs = Programs::new();
    programs.helper("keys", r#"echo '{"Username":"bob","Secret":"wr0ng"}'"#);
    let config = format!(r#"{{"credHelpers": {{"{host}": "keys"}}}}"#);
    let run = inspect(&[]).env("PATH", programs.path()).home_file(".docker/config.json", &config);
    refused(run).says("user bob from docker-credential-keys");
    let nothing = refused(inspect(&[])).says("no credentials found in /run/containers/");
    nothing.says(".config/containers/auth.json").says(".docker/config.json").says(".dockercfg");
    refused(inspect(&["--authfile", "/dev/null"])).says("no credentials found in /dev/null");
    // Each side is reported by itself.
    let wrap = ["wrap", "--retries", "0", &guarded.from, &guarded.registry.name("copy", "v1")];
    let run = reapify(wrap).args(["--src-creds", "ann:s3cret", "--dest-creds", "bob:wr0ng"]);
    refused(run).says("user bob from --dest-creds was refused");
}
