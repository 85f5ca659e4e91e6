//! Where secrets are sent: the exact requests of each situation, by server, and the outcome.
//!
//! A request is written as `METHOD what as-whom status`: what is `manifest`, `config`, `layer`, `token`, …; as-whom
//! is `-` for an anonymous request, the user's name for a password, and `token` or `stolen` for a token, depending on
//! which server issued it.

mod support;

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use support::image::{Image, file};
use support::registry::{Act, Asked, Auth, Bearer, Entry, Kind, Location, Registry, Reply};
use support::run::{Outcome, Run, reapify, tool};
use support::scratch;
use support::secrets::Secret;

const PASSWORD: &str = "s3cret-0f-ann";
const CREDS: &str = "ann:s3cret-0f-ann";
/// The identity token of `ann` in a Docker file, where the password is empty.
const IDENTITY: &str = "1dentity-0f-ann";

fn image() -> Image {
    Image::new().layer(&[file("a", b"content")])
}

/// A registry with `app:v1`, and a stranger that tries to obtain secrets.
struct Rig {
    registry: Registry,
    stranger: Registry,
    layout: tempfile::TempDir,
}

/// The user whose secret the stranger may receive.
#[derive(Clone, Copy)]
enum Asks {
    Nobody,
    Basic,
    Bearer,
}

impl Rig {
    fn basic() -> Self {
        Self::new(Auth::Basic { user: "ann".into(), password: PASSWORD.into() })
    }

    fn bearer() -> Self {
        Self::new(Auth::Bearer(Bearer::new("ann", PASSWORD)))
    }

    fn identity() -> Self {
        Self::bearer().settings(|bearer| bearer.identity_token = Some(IDENTITY.into()))
    }

    fn new(auth: Auth) -> Self {
        let (registry, stranger) = (Registry::start(), Registry::start());
        image().in_registry(&registry, "app", "v1");
        image().in_registry(&stranger, "app", "v1");
        registry.set(|settings| {
            settings.auth = auth;
            settings.referrers = true;
        });
        Self { registry, stranger, layout: scratch() }
    }

    /// Changes how the registry issues tokens.
    fn settings(self, change: impl FnOnce(&mut Bearer)) -> Self {
        self.registry.set(|settings| {
            if let Auth::Bearer(bearer) = &mut settings.auth {
                change(bearer);
            }
        });
        self
    }

    /// Sets the realm that the registry names.
    fn realm(self, realm: &str) -> Self {
        self.settings(|bearer| bearer.realm = Some(realm.to_owned()))
    }

    /// Lets the stranger issue tokens to any client, and demand credentials itself.
    fn stranger_asks(&self, asks: Asks) {
        let challenge = match asks {
            Asks::Basic => "Basic realm=\"storage\"".to_owned(),
            _ => format!("Bearer realm=\"http://{}/token\",service=\"s\"", self.stranger.host()),
        };
        self.stranger.hook(move |asked| match (&asked.kind, asks) {
            (Kind::Token, _) => {
                Act::Answer(Reply::status(200).body(r#"{"token":"stolen-by-stranger","expires_in":300}"#))
            }
            (_, Asks::Nobody) => Act::Serve,
            _ => Act::Answer(Reply::error(401, "UNAUTHORIZED", "x").header("www-authenticate", &challenge)),
        });
    }

    /// Redirects these requests to the same path at the stranger.
    fn redirects(&self, status: u16, when: impl Fn(&Asked) -> bool + Send + Sync + 'static) {
        let to = self.stranger.host();
        self.registry.hook(move |asked| match when(asked) {
            true => {
                let location = format!("http://{to}{}?{}", asked.path, asked.query_text);
                Act::Answer(Reply::status(status).header("location", &location))
            }
            false => Act::Serve,
        });
    }

    fn inspect(&self) -> Run {
        quick(reapify(["inspect", "--shallow", "-vvv", &self.registry.name("app", "v1")]))
    }

    /// Runs `inspect` with the password on the command line, or with the identity token in a file.
    fn inspect_as(&self, login: Login) -> Run {
        let host = self.registry.host();
        match login {
            Login::Password => self.inspect().args(["--src-creds", CREDS]),
            Login::Identity => {
                let entry = json!({"auth": STANDARD.encode("ann:"), "identitytoken": IDENTITY});
                self.inspect().home_file(".docker/config.json", &json!({"auths": {host: entry}}).to_string())
            }
        }
    }

    /// Wraps from one repository to another.
    fn wrap(&self) -> Run {
        self.wrap_from(&self.registry.name("app", "v1")).args(["--src-creds", CREDS])
    }

    /// Wraps from a layout, so that all requests concern the destination.
    fn push(&self) -> Run {
        self.wrap_from(&image().in_layout(self.layout.path(), "v1"))
    }

    fn wrap_from(&self, from: &str) -> Run {
        let run = quick(reapify(["wrap", "-vvv", from, &self.registry.name("copy", "v1")]));
        run.args(["--dest-creds", CREDS])
    }
}

#[derive(Clone, Copy, Debug)]
enum Login {
    Password,
    Identity,
}

fn quick(run: Run) -> Run {
    run.args(["--output", "json", "--retries", "0"])
}

/// Returns the requests to a server, one per line, sorted and without duplicates.
fn asked(server: &Registry) -> Vec<String> {
    let lines: BTreeSet<String> = server.log().entries.iter().map(line).collect();
    lines.into_iter().collect()
}

fn line(entry: &Entry) -> String {
    let image = image();
    let blobs = image.blobs();
    let status = entry.status.map_or("-".to_owned(), |status| status.as_u16().to_string());
    let name = |digest: &str| match () {
        () if digest == support::image::digest(&blobs[0]) => "layer",
        () if digest == support::image::digest(&blobs[1]) => "config",
        () => "new",
    };
    let digest = entry.asked.query.get("digest").map(String::as_str).unwrap_or_default();
    let what = match &entry.asked.kind {
        Kind::Manifest { repository, reference } if reference.starts_with("sha256-") => {
            format!("{repository}/signatures")
        }
        Kind::Manifest { repository, .. } => format!("{repository}/manifest"),
        Kind::Blob { repository, digest } => format!("{repository}/{}", name(digest)),
        Kind::StartUpload { repository } => match entry.asked.query.get("mount") {
            Some(digest) => format!("{repository}/mount-{}", name(digest)),
            None => format!("{repository}/open"),
        },
        Kind::Upload { repository, .. } => format!("{repository}/{}", name(digest)),
        Kind::Referrers { repository, .. } => format!("{repository}/referrers"),
        Kind::Token => "token".to_owned(),
        _ => entry.asked.path.clone(),
    };
    format!("{} {what} {} {status}", entry.asked.method, whom(entry))
}

fn whom(entry: &Entry) -> String {
    let header = entry.asked.header("authorization");
    let body = String::from_utf8_lossy(&entry.body);
    match header.split_once(' ') {
        Some(("Basic", encoded)) => {
            let pair = STANDARD.decode(encoded).expect("base64");
            String::from_utf8_lossy(&pair).split(':').next().unwrap_or_default().to_owned()
        }
        Some(("Bearer", token)) => token.split('-').next().unwrap_or_default().to_owned(),
        _ if body.contains(IDENTITY) => "identity".to_owned(),
        _ => "-".to_owned(),
    }
}

/// The failures of all rows of a table.
#[derive(Default)]
struct Table(Vec<String>);

impl Table {
    /// Checks the exit code, and every request to both servers.
    fn row(
        &mut self,
        what: &str,
        rig: &Rig,
        outcome: &Outcome,
        exit: i32,
        registry: &[&str],
        stranger: &[&str],
    ) {
        let found = (outcome.code(), asked(&rig.registry), asked(&rig.stranger));
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let expected = (exit, owned(registry), owned(stranger));
        if found != expected {
            self.0.push(format!("== {what}:\n   found {found:?}\nexpected {expected:?}\n{outcome}"));
        }
        let said = format!("{}{}", outcome.text(), outcome.stderr);
        for secret in [PASSWORD, IDENTITY, "-of-ann"].map(Secret::new) {
            if secret.is_in(&said) {
                self.0.push(format!("{what}: it says {}\n{outcome}", secret.text));
            }
        }
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.0.is_empty(), "{}", self.0.join("\n\n"));
        }
    }
}

/// The requests up to the first answer with a token.
const INTRODUCED: [&str; 3] = ["GET app/manifest - 401", "GET app/manifest token 200", "GET token ann 200"];

/// The further requests of `inspect`.
const INSPECTED: [&str; 3] =
    ["GET app/config token 200", "GET app/referrers token 200", "HEAD app/signatures token 404"];

/// Returns all of these requests, in the order of [`asked`].
fn with<'a>(parts: &[&[&'a str]]) -> Vec<&'a str> {
    let mut all = parts.concat();
    all.sort_unstable();
    all
}

/// Returns the requests except those with these prefixes.
fn lacking<'a>(lines: &[&'a str], out: &[&str]) -> Vec<&'a str> {
    lines.iter().filter(|line| !out.iter().any(|out| line.starts_with(out))).copied().collect()
}

/// Returns those requests that were made: if one request fails, concurrent ones are cancelled.
fn seen<'a>(server: &Registry, lines: &[&'a str]) -> Vec<&'a str> {
    let asked = asked(server);
    lines.iter().filter(|line| asked.iter().any(|asked| asked == *line)).copied().collect()
}

fn is_token(asked: &Asked) -> bool {
    asked.kind == Kind::Token
}

#[test]
fn redirected_token_requests_reveal_nothing() {
    let mut table = Table::default();
    for status in [301, 302, 303, 307, 308] {
        let rig = Rig::bearer();
        rig.stranger_asks(Asks::Nobody);
        rig.redirects(status, is_token);
        let outcome = rig.inspect_as(Login::Password).run();
        let redirected = format!("GET token ann {status}");
        let registry = ["GET app/manifest - 401", "GET app/manifest stolen 401", &redirected];
        table.row("a GET elsewhere", &rig, &outcome, 4, &registry, &["GET token - 200"]);

        // A secret in a body cannot be omitted.
        let rig = Rig::identity();
        rig.stranger_asks(Asks::Nobody);
        rig.redirects(status, is_token);
        let outcome = rig.inspect_as(Login::Identity).run();
        let redirected = format!("POST token identity {status}");
        let exit = if status < 304 { 7 } else { 4 };
        table.row("a POST elsewhere", &rig, &outcome, exit, &["GET app/manifest - 401", &redirected], &[]);

        // The server's own host may receive it.
        let rig = Rig::bearer();
        let rig = {
            let realm = format!("http://{}/old/token", rig.registry.host());
            rig.realm(&realm)
        };
        rig.registry.hook(move |asked| match asked.path.as_str() {
            "/old/token" => {
                let location = format!("/token?{}", asked.query_text);
                Act::Answer(Reply::status(status).header("location", &location))
            }
            _ => Act::Serve,
        });
        let outcome = rig.inspect_as(Login::Password).run();
        let redirected = format!("GET /old/token ann {status}");
        let registry = with(&[&INTRODUCED, &INSPECTED, &[&redirected]]);
        table.row("a GET within", &rig, &outcome, 0, &registry, &[]);
    }
}

#[test]
fn a_realm_that_the_registry_names_receives_credentials() {
    let mut table = Table::default();
    for login in [Login::Password, Login::Identity] {
        let rig = if matches!(login, Login::Identity) { Rig::identity() } else { Rig::bearer() };
        let realm = format!("http://{}/token", rig.stranger.host());
        let rig = rig.realm(&realm);
        rig.stranger.hook(rig.registry.give_token());
        let outcome = rig.inspect_as(login).run();
        let registry = with(&[&INTRODUCED[..2], &INSPECTED]);
        let told =
            if matches!(login, Login::Identity) { "POST token identity 200" } else { "GET token ann 200" };
        table.row("another host", &rig, &outcome, 0, &registry, &[told]);
    }
}

/// The condition for redirecting a request.
type When = fn(&Asked) -> bool;

#[test]
fn storage_never_receives_credentials() {
    let manifest: When = |asked| asked.path.ends_with("/manifests/v1");
    let blob: When = |asked| matches!(asked.kind, Kind::Blob { .. });
    let referrers: When = |asked| matches!(asked.kind, Kind::Referrers { .. });
    let mut table = Table::default();
    for status in [301, 302, 303, 307, 308] {
        for asks in [Asks::Nobody, Asks::Basic, Asks::Bearer] {
            let is_open = matches!(asks, Asks::Nobody);
            let (exit, answer) = if is_open { (0, 200) } else { (4, 401) };
            let rig = |when: When| {
                let rig = Rig::bearer();
                rig.stranger_asks(asks);
                rig.redirects(status, when);
                rig
            };
            let redirected = rig(manifest);
            let outcome = redirected.inspect_as(Login::Password).run();
            let asked = format!("GET app/manifest - {status}");
            let there = format!("GET app/manifest - {answer}");
            let introduced: &[&str] = &["GET app/config - 401", "GET token ann 200"];
            let rest: &[&[&str]] = if is_open { &[introduced, &INSPECTED] } else { &[] };
            let registry = with(&[rest, &[&[&asked]]].concat());
            table.row("a manifest", &redirected, &outcome, exit, &registry, &[&there]);

            let redirected = rig(blob);
            let outcome = redirected.inspect_as(Login::Password).run();
            let asked = format!("GET app/config token {status}");
            let there = format!("GET app/config - {answer}");
            let rest = if is_open { &INSPECTED[1..] } else { &[] };
            let registry = with(&[&INTRODUCED, rest, &[&asked]]);
            table.row("a blob", &redirected, &outcome, exit, &registry, &[&there]);

            // An optional request: the registry receives further requests as before.
            let redirected = rig(referrers);
            let outcome = redirected.inspect_as(Login::Password).run();
            let asked = format!("GET app/referrers token {status}");
            let there = if is_open { "GET app/referrers - 404" } else { "GET app/referrers - 401" };
            // Without a list, referrers are looked up under a tag.
            let rest = lacking(&INSPECTED, &["GET app/referrers"]);
            let registry = with(&[&INTRODUCED, &rest, &[&asked, "GET app/signatures token 404"]]);
            table.row("referrers", &redirected, &outcome, 0, &registry, &[there]);
        }
    }
}

/// The requests of a push with a token.
const PUSHED: [&str; 8] = [
    "GET copy/manifest - 401",
    "GET copy/manifest token 404",
    "GET token ann 200",
    "HEAD copy/layer token 404",
    "POST copy/open token 202",
    "PUT copy/layer token 201",
    "PUT copy/manifest token 201",
    "PUT copy/new token 201",
];

/// The uploads of a push, of which one is refused and the others may have no response yet.
const CUT_SHORT: [&str; 4] =
    ["PUT copy/layer - -", "PUT copy/layer - 401", "PUT copy/new - -", "PUT copy/new - 401"];

#[test]
fn a_push_redirected_to_another_host_carries_no_credentials() {
    let mut table = Table::default();
    for asks in [Asks::Basic, Asks::Bearer] {
        for status in [301, 302, 303, 307, 308] {
            let rig = |when: When| {
                let rig = Rig::bearer();
                rig.stranger_asks(asks);
                rig.redirects(status, when);
                rig
            };
            // If the request is not answered, the blob is uploaded to the registry as usual.
            let head = rig(|asked| asked.method == "HEAD");
            let outcome = head.push().run();
            let asked = format!("HEAD copy/layer token {status}");
            let registry = with(&[&lacking(&PUSHED, &["HEAD"]), &[&asked]]);
            table.row("HEAD of a blob", &head, &outcome, 0, &registry, &["HEAD copy/layer - 401"]);

            let is_followed = status > 303;
            let exit = if is_followed { 4 } else { 7 };
            let post = rig(|asked| asked.method == "POST");
            let outcome = post.push().run();
            let asked = format!("POST copy/open token {status}");
            let beside = seen(&post.registry, &["HEAD copy/layer token 404", "HEAD copy/layer token -"]);
            let registry = with(&[&lacking(&PUSHED, &["HEAD", "POST", "PUT"]), &beside, &[&asked]]);
            let stranger: &[&str] = if is_followed { &["POST copy/open - 401"] } else { &[] };
            table.row("POST", &post, &outcome, exit, &registry, stranger);

            let put = rig(Asked::writes_manifest);
            let outcome = put.push().run();
            let asked = format!("PUT copy/manifest token {status}");
            let registry = with(&[&lacking(&PUSHED, &["PUT copy/manifest"]), &[&asked]]);
            let stranger: &[&str] = if is_followed { &["PUT copy/manifest - 401"] } else { &[] };
            table.row("PUT of a manifest", &put, &outcome, exit, &registry, stranger);
        }
        let rig = Rig::bearer();
        rig.stranger_asks(asks);
        rig.registry.set(|settings| settings.location = Location::On(rig.stranger.host()));
        let outcome = rig.push().run();
        let stranger = seen(&rig.stranger, &CUT_SHORT);
        assert!(!stranger.is_empty(), "{outcome}");
        table.row("a foreign Location", &rig, &outcome, 4, &lacking(&PUSHED, &["PUT"]), &stranger);
    }
}

#[test]
fn a_push_redirected_within_the_registry_keeps_its_credentials() {
    let mut table = Table::default();
    for status in [307, 308] {
        for (what, when) in [
            ("POST copy/open", (|asked| asked.method == "POST") as When),
            ("PUT copy/layer", |asked| asked.method == "PUT" && asked.path.contains("/uploads/")),
            ("PUT copy/manifest", Asked::writes_manifest),
        ] {
            let rig = Rig::bearer();
            rig.registry.hook(move |asked| match when(asked) && !asked.query.contains_key("moved") {
                true => {
                    let location = format!("{}?{}&moved=1", asked.path, asked.query_text);
                    Act::Answer(Reply::status(status).header("location", &location))
                }
                false => Act::Serve,
            });
            let outcome = rig.push().run();
            let mut redirected = vec![format!("{what} token {status}")];
            if what == "PUT copy/layer" {
                redirected.push(format!("PUT copy/new token {status}"));
            }
            let redirected: Vec<&str> = redirected.iter().map(String::as_str).collect();
            table.row(what, &rig, &outcome, 0, &with(&[&PUSHED, &redirected]), &[]);
        }
    }
}

#[test]
fn a_plain_http_realm_receives_nothing_unless_its_host_is_allowed() {
    let mut table = Table::default();
    for login in [Login::Password, Login::Identity] {
        for realm in [
            "http://auth.corp.example/token",
            "http://auth.corp.example:8080/token",
            "http://127.0.0.1.corp.example/token",
            "http://localhost.corp.example/token",
            "http://127.0.0.1@auth.corp.example/token",
            "http://127.0.0.1%2f@auth.corp.example/token",
            "HTTP://AUTH.CORP.EXAMPLE/token",
            "ftp://auth.corp.example/token",
            "//auth.corp.example/token",
        ] {
            let rig = if matches!(login, Login::Identity) { Rig::identity() } else { Rig::bearer() };
            let rig = rig.realm(realm);
            rig.stranger_asks(Asks::Nobody);
            // Nothing leaves this machine: a proxy stands in for all other hosts.
            let outcome =
                rig.inspect_as(login).env("http_proxy", format!("http://{}", rig.stranger.host())).run();
            let exit = if realm.to_lowercase().starts_with("http:") { 4 } else { 7 };
            table.row(realm, &rig, &outcome, exit, &["GET app/manifest - 401"], &[]);
        }
        let rig = if matches!(login, Login::Identity) { Rig::identity() } else { Rig::bearer() };
        let rig = rig.realm("http://auth.corp.example/token");
        rig.stranger_asks(Asks::Nobody);
        let run = rig.inspect_as(login).env("http_proxy", format!("http://{}", rig.stranger.host()));
        let outcome = run.args(["--plain-http", "auth.corp.example"]).run();
        let told =
            if matches!(login, Login::Identity) { "POST token identity 200" } else { "GET token ann 200" };
        table.row(
            "a host that was named",
            &rig,
            &outcome,
            4,
            &["GET app/manifest - 401", "GET app/manifest stolen 401"],
            &[told],
        );
    }
}

#[test]
fn verify_sends_each_registry_its_own_credentials() {
    let mut table = Table::default();
    let ann = ["--src-creds", CREDS];
    let eve = ["--source-creds", "eve:0ther-secret"];
    for (what, options, exit) in [
        ("both", [&ann[..], &eve].concat(), 0),
        ("the image's only", ann.to_vec(), 4),
        ("the source's only", eve.to_vec(), 4),
        ("the image's from standard input", vec!["--src-creds", "ann", "--src-password-stdin"], 4),
    ] {
        let rig = Rig::basic();
        rig.push().run().succeeds();
        rig.stranger.set(|s| s.auth = Auth::Basic { user: "eve".into(), password: "0ther-secret".into() });
        rig.registry.clear_log();
        let (image, source) = (rig.registry.name("copy", "v1"), rig.stranger.name("app", "v1"));
        let run = quick(reapify(["verify", &image, "--source", &source])).args(options).stdin(PASSWORD);
        let outcome = run.run();
        if outcome.code() != exit {
            table.0.push(format!("{what}: exit {}\n{outcome}", outcome.code()));
        }
        for (server, foreign) in [(&rig.registry, " eve "), (&rig.stranger, " ann ")] {
            let lines = asked(server);
            if lines.iter().any(|line| line.contains(foreign)) {
                table.0.push(format!("{what}: {lines:#?}\n{outcome}"));
            }
        }
    }
}

#[test]
fn requests_tokens_again_from_servers_that_grant_less() {
    let mut table = Table::default();
    type Answers = fn(Vec<&str>) -> Result<String, u16>;
    let rows: [(&str, Answers); 6] = [
        ("the first", |scopes| Ok(scopes.first().copied().unwrap_or_default().to_owned())),
        ("the last", |scopes| Ok(scopes.last().copied().unwrap_or_default().to_owned())),
        ("400 for two", |scopes| if scopes.len() > 1 { Err(400) } else { Ok(scopes.concat()) }),
        ("401 for two", |scopes| if scopes.len() > 1 { Err(401) } else { Ok(scopes.concat()) }),
        ("403 for two", |scopes| if scopes.len() > 1 { Err(403) } else { Ok(scopes.concat()) }),
        ("404 for two", |scopes| if scopes.len() > 1 { Err(404) } else { Ok(scopes.concat()) }),
    ];
    for (what, answers) in rows {
        let rig = Rig::bearer();
        let give = rig.registry.give_token();
        rig.registry.hook(move |asked| {
            if asked.kind != Kind::Token {
                return Act::Serve;
            }
            let scopes = asked.query.get("scope").cloned().unwrap_or_default();
            match answers(scopes.split_whitespace().collect()) {
                Err(status) => Act::Answer(Reply::error(status, "DENIED", "one scope at a time")),
                Ok(scope) => {
                    let mut asked = asked.clone();
                    asked.query.insert("scope".to_owned(), scope);
                    give(&asked)
                }
            }
        });
        let outcome = rig.wrap().run();
        if outcome.code() != 0 {
            table.0.push(format!("{what}\n{outcome}\n{:#?}", rig.registry.log().lines()));
            continue;
        }
        rig.registry.complete("copy", "v1");
        // The layer may or may not be mounted; either way the requests end.
        let report = outcome.json();
        let moved = report["stats"]["blobs_mounted"].as_u64().zip(report["stats"]["blobs_copied"].as_u64());
        if moved.is_none_or(|(mounted, copied)| mounted + copied != 3) {
            table.0.push(format!("{what}: {report}"));
        }
        let tokens = rig.registry.log().count(|entry| entry.asked.kind == Kind::Token);
        if tokens > 5 {
            table.0.push(format!("{what}: {tokens} tokens: {:#?}", rig.registry.log().lines()));
        }
    }
}

#[test]
fn anonymous_requests_carry_no_credentials() {
    let mut table = Table::default();
    let helpers = scratch();
    let helper = helpers.path().join("docker-credential-void").display().to_string();
    let script = "#!/bin/sh\ncat >/dev/null\necho '{\"ServerURL\":\"\",\"Username\":\"\",\"Secret\":\"\"}'\n";
    tool("install", ["-m", "755", "/dev/stdin", &helper]).stdin(script).run().succeeds();
    let path = format!("{}:{}", helpers.path().display(), std::env::var("PATH").expect("a PATH"));
    for config in [
        r#"{}"#,
        r#"{"auths": {"HOST": {"auth": "Og=="}}}"#,
        r#"{"auths": {"HOST": {"auth": ""}}}"#,
        r#"{"auths": {"HOST": {"auth": null}}}"#,
        r#"{"auths": {"HOST": {"username": "", "password": ""}}}"#,
        r#"{"auths": {"HOST": {}}}"#,
        r#"{"auths": {"HOST": null}}"#,
        r#"{"auths": null, "credHelpers": null, "credsStore": null}"#,
        r#"{"auths": {}, "credHelpers": {"HOST": "void"}}"#,
        r#"{"auths": {"HOST": {"auth": "Og=="}}, "credHelpers": {"HOST": "void"}}"#,
        r#"{"credsStore": "void"}"#,
    ] {
        let rig = Rig::bearer().settings(|bearer| bearer.anonymous_pull = true);
        let config = config.replace("HOST", &rig.registry.host());
        let run = rig.inspect().env("PATH", &path).home_file(".docker/config.json", &config);
        let registry = with(&[&INTRODUCED[..2], &INSPECTED, &["GET token - 200"]]);
        table.row(&config, &rig, &run.run(), 0, &registry, &[]);
    }
}

#[test]
fn parses_token_responses_in_every_form() {
    let mut table = Table::default();
    let answers = [
        r#"{"token": "T", "expires_in": 300}"#,
        r#"{"token": "", "access_token": "T"}"#,
        r#"{"token": null, "access_token": "T", "expires_in": null}"#,
        r#"{"token": "T", "access_token": "other"}"#,
        r#"{"token": "T", "expires_in": "300"}"#,
        r#"{"token": "T", "expires_in": 0}"#,
        r#"{"token": "T", "expires_in": -1}"#,
        r#"{"token": "T", "expires_in": 59.5}"#,
        r#"{"token": "T", "expires_in": 1e20}"#,
        r#"{"token": "T", "expires_in": "never", "issued_at": 7}"#,
        r#"{"access_token": "T", "refresh_token": null, "scope": ["x"]}"#,
    ];
    for answer in answers {
        let rig = Rig::bearer();
        rig.registry.hook(move |asked| match is_token(asked) {
            true => Act::alter(move |reply| {
                let given: serde_json::Value = serde_json::from_slice(&reply.body).expect("a token");
                reply.body(answer.replace("\"T\"", &given["token"].to_string()))
            }),
            false => Act::Serve,
        });
        let outcome = rig.inspect_as(Login::Password).run();
        table.row(answer, &rig, &outcome, 0, &with(&[&INTRODUCED, &INSPECTED]), &[]);
    }
}
