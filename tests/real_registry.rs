//! The same operations with the registry of the distribution project: TLS, passwords, tokens.

mod support;

use support::docker_registry::{DockerRegistry, Options};
use support::image::{Image, file};
use support::registry::Registry;
use support::run::reapify;
use support::tokens::TokenServer;
use support::zombies;

#[test]
fn supports_private_authorities_and_passwords() {
    let registry = DockerRegistry::with_user("ann", "s3cret").tls().start();
    let ca = format!("{}={}", registry.host(), registry.authority().display());
    let to = registry.name("app", "v1");
    let with = |args: &[&str]| reapify(["wrap", "-vvv", "--retries", "0", &zombies(), &to]).args(args);
    with(&["--ca-file", &ca, "--dest-creds", "ann:s3cret"]).run().succeeds().never_says("s3cret");
    with(&["--ca-file", &ca, "--dest-creds", "ann", "--dest-password-stdin"])
        .stdin("s3cret\n")
        .run()
        .succeeds();
    with(&["--insecure", registry.host()]).env("REAPIFY_DEST_CREDS", "ann:s3cret").run().succeeds();
    with(&["--ca-file", &ca, "--dest-creds", "ann:wrong"]).run().exits(4).says("docker login");
    with(&["--ca-file", &ca]).run().exits(4);
    // Loopback uses plain HTTP, which the registry refuses, unless an option names the host.
    let named = format!("--ca-file {}=FILE", registry.host());
    let bare = registry.authority().display().to_string();
    with(&["--dest-creds", "ann:s3cret"]).run().exits(7).says(&named).never_says("s3cret");
    with(&["--dest-creds", "ann:s3cret", "--ca-file", &bare])
        .run()
        .exits(7)
        .says(&named)
        .never_says("s3cret");
    let certs = format!(".config/containers/certs.d/{}/ca.crt", registry.host());
    let authority = std::fs::read_to_string(registry.authority()).unwrap();
    let auths = format!(r#"{{"auths":{{"{}":{{"auth":"YW5uOnMzY3JldA=="}}}}}}"#, registry.host());
    with(&[]).home_file(&certs, &authority).home_file(".docker/config.json", &auths).run().succeeds();
    let other = DockerRegistry::with_user("x", "y").tls().start();
    let wrong = format!("{}={}", registry.host(), other.authority().display());
    with(&["--ca-file", &wrong, "--dest-creds", "ann:s3cret"])
        .run()
        .exits(7)
        .says("certificate")
        .says(&named);
    // A CA file for one host does not apply to another.
    let both =
        ["--ca-file", &format!("{}={}", other.host(), registry.authority().display()), "--ca-file", &wrong];
    with(&both).run().exits(7).says("certificate");
    with(&["--ca-file", &ca, "--ca-file", &wrong, "--dest-creds", "ann:s3cret"]).run().succeeds();
}

#[test]
fn trusts_a_given_self_signed_certificate() {
    let registry = Options::default().self_signed("IP:127.0.0.1").start();
    let to = registry.name("app", "v1");
    let wrap = |args: &[&str]| reapify(["wrap", "--retries", "0", &zombies(), &to]).args(args);
    let given = format!("{}={}", registry.host(), registry.certificate().display());
    wrap(&["--ca-file", &given]).run().succeeds();
    let text = std::fs::read_to_string(registry.certificate()).expect("a certificate");
    let certs = format!(".config/containers/certs.d/{}/server.crt", registry.host());
    wrap(&[]).home_file(&certs, &text).run().succeeds();
    // Another certificate is not trusted, even if it is for the same name.
    let twin = Options::default().self_signed("IP:127.0.0.1").start();
    let other = format!("{}={}", registry.host(), twin.certificate().display());
    wrap(&["--ca-file", &other]).run().exits(7).says("certificate").says("--insecure");
    let misnamed = Options::default().self_signed("DNS:registry.test").start();
    let given = format!("{}={}", misnamed.host(), misnamed.certificate().display());
    let run =
        reapify(["wrap", "--retries", "0", &zombies(), &misnamed.name("app", "v1"), "--ca-file", &given]);
    run.run().exits(7).says("subjectAltName");
}

#[test]
fn distinguishes_plain_http_from_tls() {
    let plain = DockerRegistry::start();
    let to = plain.name("app", "v1");
    let wrap = |args: &[&str]| reapify(["wrap", "--retries", "0", &zombies(), &to]).args(args).run();
    let hint = format!("--plain-http {}", plain.host());
    wrap(&["--insecure", plain.host()]).exits(7).says(&hint);
    wrap(&["--insecure", plain.host(), "--plain-http", plain.host()]).succeeds();
    // A certificate for all hosts, or for another host, does not imply TLS for this one.
    let tls = Options::default().tls().start();
    let ca = tls.authority().display().to_string();
    wrap(&["--ca-file", &ca]).succeeds();
    wrap(&["--ca-file", &format!("{}={ca}", tls.host())]).succeeds();
    wrap(&["--ca-file", &format!("{}={ca}", plain.host())]).exits(7).says(&hint);
}

#[test]
fn gives_a_hint_if_there_are_no_ca_certificates() {
    let run = || {
        reapify(["inspect", "--retries", "0", "registry.invalid/app:v1"])
            .env("SSL_CERT_FILE", "/nowhere.pem")
            .env("SSL_CERT_DIR", "/nowhere")
    };
    run()
        .run()
        .exits(7)
        .says("no CA certificates")
        .says("--ca-file registry.invalid=FILE")
        .says("SSL_CERT_FILE");
    let tls = Options::default().tls().start();
    let ca = format!("{}={}", tls.host(), tls.authority().display());
    reapify(["wrap", &zombies(), &tls.name("app", "v1"), "--ca-file", &ca])
        .env("SSL_CERT_FILE", "/nowhere.pem")
        .run()
        .succeeds();
}

#[test]
fn supports_signed_tokens() {
    let tokens = TokenServer::start("ann", "s3cret", 300);
    let registry = Options::default().auth(&tokens.section()).start();
    let creds = ["--dest-creds", "ann:s3cret", "--src-creds", "ann:s3cret"];
    let from = registry.name("app", "v1");
    reapify(["wrap", &zombies(), &from]).args(&creds[..2]).run().succeeds();
    let before = tokens.asked().len();
    let report = reapify(["wrap", "--group", "--output", "json", &from, &registry.name("team/copy", "v1")])
        .args(creds)
        .run()
        .succeeds()
        .json();
    assert_eq!(report["stats"]["blobs_mounted"], 2, "the token is valid for both repositories: {report}");
    assert_eq!(tokens.asked().len() - before, 1, "{:?}", tokens.asked());
    reapify(["wrap", &from, &registry.name("x", "v1")]).run().exits(4);
}

#[test]
fn prune_requests_a_token_that_grants_deletion() {
    let tokens = TokenServer::start("ann", "s3cret", 300);
    let target = Options::default().auth(&tokens.section()).start();
    let source = Registry::start();
    for tag in ["1.0", "1.1", "2.0"] {
        Image::new().layer(&[file("app", tag.as_bytes())]).in_registry(&source, "app", tag);
    }
    let dir = support::scratch();
    let pass = |more: &str| {
        let file = dir.path().join("regsync.yml");
        let text = format!(
            "version: 1\ncreds: [{{registry: '{0}', user: ann, pass: s3cret}}]\nsync:\n  - source: {1}/app\n    \
             target: {0}/copy\n    type: repository\n{more}",
            target.host(),
            source.host(),
        );
        std::fs::write(&file, text).unwrap();
        reapify(["mirror", "once", "-c"]).arg(&file).run().succeeds()
    };
    pass("");
    pass("    tags: {allow: ['2.*']}\n    prune: {keep: 1}\n");
    let scopes: Vec<String> =
        tokens.asked().iter().filter(|query| query.contains("delete")).cloned().collect();
    assert_eq!(scopes.len(), 1, "{scopes:?}");
    let creds = ["--src-creds", "ann:s3cret"];
    for (tag, code) in [("2.0", 0), ("1.1", 0), ("1.0", 3)] {
        reapify(["inspect", "--shallow", &target.name("copy", tag)]).args(creds).run().exits(code);
    }
}
