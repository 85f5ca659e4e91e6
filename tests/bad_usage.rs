//! Requests that cannot be carried out: missing images, missing permissions, and invalid names, options and reapers.
//! Each has a message and an exit code of its own, and nothing is written.

mod support;

use serde_json::json;
use support::image::{Family, Image};
use support::index::{child, image_for};
use support::refusal::{Place, has_one_error, refused, refused_to, wrap};
use support::registry::{Act, Auth, Bearer, Registry, Reply};
use support::run::{reapify, tool};
use support::{project, scratch, zombies};

#[test]
fn reports_missing_images() {
    let place = Place::new();
    let image = Image::small();
    place.layout(&image);
    place.pushed(&image);
    tool("skopeo", ["copy", "-q", &place.at("oci", "source:v1"), &place.at("oci-archive", "oci.tar:v1")])
        .run()
        .succeeds();
    tool(
        "skopeo",
        ["copy", "-q", &place.at("oci", "source:v1"), &place.at("docker-archive", "docker.tar:app:v1")],
    )
    .run()
    .succeeds();
    let absent = "sha256:0000000000000000000000000000000000000000000000000000000000000000";
    for (source, named) in [
        (place.registry.name("none", "v1"), "none:v1"),
        (place.registry.name("app", "none"), "app:none"),
        (place.registry.name("app", absent), absent),
        (place.at("oci", "none:v1"), "none"),
        (place.at("oci", "source:none"), "source:none"),
        (place.at("oci", &format!("source@{absent}")), absent),
        (place.at("oci-archive", "none.tar:v1"), "none.tar"),
        (place.at("oci-archive", "oci.tar:none"), "oci.tar:none"),
        (place.at("docker-archive", "none.tar"), "none.tar"),
        (place.at("docker-archive", "docker.tar:app:none"), "app:none"),
    ] {
        refused(&place, &source, &[], 3, named);
    }
}

#[test]
fn reports_denied_access() {
    let basic = Auth::Basic { user: "ann".into(), password: "secret".into() };
    for auth in [basic, Auth::Bearer(Bearer::new("ann", "secret"))] {
        let place = Place::new();
        let source = place.pushed(&Image::small());
        let destination = place.registry.name("copy", "v1");
        place.registry.set(|settings| settings.auth = auth);
        std::fs::create_dir_all(place.path("out")).expect("a directory");
        for options in [&[][..], &["--src-creds", "ann:wrong"], &["--src-creds", "eve:secret"]] {
            let to = place.at("oci", "out/layout:v1");
            let outcome = wrap(&source, &to).args(options).run().exits(4).says(&place.registry.host());
            has_one_error(outcome).never_says("secret");
            place.is_untouched();
        }
        // The first login may read, the second may not write.
        let options = ["--src-creds", "ann:secret", "--dest-creds", "ann:wrong"];
        has_one_error(wrap(&source, &destination).args(options).run().exits(4)).never_says("secret");
        place.is_untouched();
        wrap(&source, &destination)
            .args(["--src-creds", "ann:secret", "--dest-creds", "ann:secret"])
            .run()
            .succeeds();
    }
}

#[test]
fn reports_forbidden_requests() {
    let place = Place::new();
    let source = place.pushed(&Image::small());
    std::fs::create_dir_all(place.path("out")).expect("a directory");
    for method in ["GET", "PUT"] {
        place.registry.behave();
        place.registry.hook(move |asked| match asked.method == method {
            true => Act::Answer(Reply::error(403, "DENIED", "requested access to the resource is denied")),
            false => Act::Serve,
        });
        let outcome = wrap(&source, &place.registry.name("copy", "v1")).run().exits(4).says("denied");
        has_one_error(outcome);
        place.registry.behave();
        assert_eq!(place.registry.complete("copy", "v1"), place.old);
    }
}

#[test]
fn rejects_unusable_reapers() {
    let place = Place::new();
    let source = place.layout(&Image::small());
    let own = std::env::current_exe().expect("this test is a program");
    let dynamic = own.display().to_string();
    let script = place.path("script").display().to_string();
    std::fs::write(&script, "#!/bin/sh\n").expect("a script");
    let arm = project("reaper/prebuilt/linux-arm64").display().to_string();
    let arm = format!("linux/amd64={arm}");
    for (reaper, phrase) in
        [(&dynamic, "dynamically linked"), (&script, "not a Linux executable"), (&arm, "linux/arm64")]
    {
        refused(&place, &source, &["--reaper", reaper], 5, phrase);
    }
    let none = place.path("none").display().to_string();
    refused(&place, &source, &["--reaper", &none], 2, &none);
}

#[test]
fn rejects_invalid_names_and_options() {
    let place = Place::new();
    let image = Image::small();
    let source = place.layout(&image);
    let index =
        json!({"schemaVersion": 2, "mediaType": Family::Oci.index(), "manifests": [image.descriptor()]});
    place.pushed(&image);
    place.registry.put_manifest("app", "index", Family::Oci.index(), index.to_string().as_bytes());
    let index = place.registry.name("app", "index");
    place.registry.clear_log();
    let to = place.registry.name("copy", "v1");
    let by_digest = place.registry.name("copy", &image.digest());
    for (source, destination, options, phrase) in [
        (&source, &by_digest, &[][..], "digest"),
        (&source, &place.at("oci", "out/layout@sha256:aa"), &[], "invalid digest"),
        (&source, &place.at("oci-archive", &format!("out/oci.tar@{}", image.digest())), &[], "must be a tag"),
        (&source, &to, &["--platform", "linux/arm64"], "single image, for linux/amd64"),
        (&source, &place.registry.name("UPPER", "v1"), &[], "UPPER"),
        (&source, &format!("docker-daemon:app@{}", image.digest()), &[], "must be a tag"),
        (&source, &format!("docker-daemon:{}", image.digest()), &[], "must be a tag"),
        (&"host/app:bad tag".to_owned(), &to, &[], "bad tag"),
        (&index, &to, &["--platform", "linux/s390x"], "linux/s390x"),
        (&index, &to, &["--platform", "linux/"], "linux/"),
        (&index, &to, &["--platform", "linux"], "invalid platform"),
        (
            &source,
            &"containers-storage:x".to_owned(),
            &[],
            "podman save --format oci-archive x | reapify wrap",
        ),
        (&source, &"dir:x".to_owned(), &[], "unsupported transport"),
        (&source, &to, &["--path", "relative"], "absolute"),
        (&source, &to, &["--path", "/a/../b"], "/a/../b"),
        (&source, &to, &["--reaper-arg", "--no-such-option"], "--no-such-option"),
        (&source, &to, &["--reaper-arg", "program"], "accepts only options of the reaper"),
        (&source, &to, &["--grace", "soon"], "soon"),
        (&source, &to, &["--rewrite", "TERM"], "TERM"),
        (&source, &to, &["--rewrite", "TERM:FOO"], "'--rewrite <FROM:TO>': unknown signal \"FOO\""),
        (&source, &to, &["--rewrite", "HUB:TERM"], "'--rewrite <FROM:TO>': unknown signal \"HUB\""),
        (&source, &to, &["--grace", "-1"], "invalid value '-1' for '--grace <SECONDS>'"),
        (&source, &to, &["--authfile", "/nope"], "'--authfile <FILE>': cannot read /nope"),
        (&source, &to, &["--digest-file", "/nope/digest"], "--digest-file /nope/digest"),
        (
            &source,
            &"oci-archive:out.tar:v1".to_owned(),
            &["--backup", "old"],
            "--backup works with registries",
        ),
        (&source, &"oci:docker://host.example/app:1".to_owned(), &[], "use docker://host.example/app:1"),
        (&source, &"docker-daemon:APP".to_owned(), &[], "invalid repository name \"APP\""),
        (&source, &to, &["--plain-http", "http://registry.example"], "--plain-http"),
        (&source, &to, &["--insecure", ""], "--insecure"),
        (&source, &to, &["--ca-file", "/nope"], "cannot read /nope"),
        (&source, &to, &["--ca-file", "registry.example=/nope"], "cannot read /nope"),
        (&source, &to, &["--ca-file", "bad host=/"], "invalid host"),
        (&source, &to, &["--upload", "chunks:x"], "chunks"),
        (&source, &to, &["--no-such-option"], "--no-such-option"),
        (&source, &to, &["--src-password-stdin"], "--src-creds"),
        (&index, &to, &["--src-creds", "a:b", "--src-password-stdin"], "password"),
    ] {
        refused_to(&place, source, destination, options, 2, phrase);
    }
}

#[test]
fn a_chosen_path_must_not_be_the_entrypoint() {
    let place = Place::new();
    let run = reapify(["wrap", "--path", "/zombies", &support::zombies(), &place.at("oci", "out:v1")]).run();
    has_one_error(
        run.exits(5).says("the image's own entrypoint is /zombies, the path chosen for the reaper"),
    );
}

#[test]
fn reports_unwritable_destinations() {
    let place = Place::new();
    let source = place.layout(&Image::small());
    std::fs::write(place.path("file"), "precious").expect("a file");
    for (destination, named) in [
        (place.at("oci-archive", "none/oci.tar:v1"), "none/oci.tar"),
        (place.at("docker-archive", "none/docker.tar:app:v1"), "none/docker.tar"),
        ("oci:/proc/none:v1".to_owned(), "/proc/none"),
    ] {
        let outcome = wrap(&source, &destination).run().exits(1).says("cannot write to").says(named);
        has_one_error(outcome);
    }
    for name in ["file:v1", "file/below:v1"] {
        let outcome = wrap(&source, &place.at("oci", name)).run().exits(2).says("is not a directory");
        has_one_error(outcome.says("oci-archive:"));
        has_one_error(reapify(["inspect", &place.at("oci", name)]).run().exits(2).says("is not a directory"));
        assert_eq!(std::fs::read(place.path("file")).expect("a file"), b"precious");
    }
}

#[test]
fn suggests_platforms_alike_for_all_destinations() {
    let place = Place::new();
    let image = Image::small();
    let source = place.layout(&image);
    let mut descriptor = image.descriptor();
    descriptor["platform"] = json!({"os": "linux", "architecture": "amd64"});
    let index = json!({"schemaVersion": 2, "mediaType": Family::Oci.index(), "manifests": [descriptor]});
    place.pushed(&image);
    place.registry.put_manifest("app", "index", Family::Oci.index(), index.to_string().as_bytes());
    for name in [&source, &place.registry.name("app", "index")] {
        let inspect = |platform: &str| reapify(["inspect", name, "--platform", platform]).run();
        inspect("linux/amd64").succeeds();
        has_one_error(inspect("linux/arm64").exits(2).says("no platform linux/arm64").says("linux/amd64"));
    }
}

/// Text from an image must not control the terminal.
#[test]
fn escapes_control_characters_from_images() {
    let place = Place::new();
    let config = support::image::CONFIG
        .replace("/app", r"/\u001b[2J\u202etxt.exe")
        .replace(r#""config":{"#, r#""config":{"User":"a\nb","#);
    let source = place.layout(&Image::small().config(&config));
    let shown = reapify(["inspect", &source]).run().succeeds();
    assert!(shown.text().contains(r"/\u{1b}[2J\u{202e}txt.exe") && shown.text().contains(r"a\nb"), "{shown}");
    let dry = reapify(["wrap", "--dry-run", &source, &place.at("oci", "out:v1")]).run().succeeds();
    std::fs::write(place.path("tar"), b"\x1b[2J\n".repeat(512)).expect("a file");
    let refused = reapify(["inspect", &place.at("docker-archive", "tar")]).run().exits(5);
    for text in [shown.text(), dry.text(), refused.stderr] {
        assert!(!text.contains('\x1b') && !text.contains('\u{202e}'), "{text:?}");
    }
}

/// JSON is shown on terminals too, and has to stay valid.
#[test]
fn escapes_characters_that_do_not_show_in_json() {
    const UNSEEN: &str = "a\u{1b}\u{7f}\u{9b}\u{61c}\u{200b}\u{202e}\u{e0041}b";
    let place = Place::new();
    let config = support::image::CONFIG.replace("/app", &UNSEEN.replace('\x1b', r"\u001b"));
    let source = place.layout(&Image::small().config(&config));
    let is_plain = |text: &str| text.chars().all(|c| c == '\n' || (' '..='~').contains(&c));
    let shown = reapify(["inspect", "--output", "json", &source]).run().succeeds();
    assert!(is_plain(&shown.text()), "{shown}");
    assert_eq!(shown.json()["platforms"][0]["starts"][0], UNSEEN);
    let dry = ["wrap", "--dry-run", "--output", "json", &source, &place.at("oci", "out:v1")];
    let dry = reapify(dry).run().succeeds();
    assert!(is_plain(&dry.text()), "{dry}");
    let named = format!("oci:/none/{UNSEEN}");
    let failed = reapify(["inspect", "--output", "json", &named]).run().exits(3);
    assert!(is_plain(failed.stderr()), "{failed}");
    let error: serde_json::Value = serde_json::from_str(failed.stderr()).expect("one JSON object");
    assert_eq!(error["image"], named);
    let list = format!("{named} oci:/none/other:v1\n");
    let failed = reapify(["wrap", "--batch", "-", "--output", "json"]).stdin(list).run().exits(9);
    assert!(is_plain(&failed.text()), "{failed}");
    assert_eq!(failed.json()["source"], named);
}

#[test]
fn a_failed_run_leaves_no_new_file_for_the_digest() {
    let place = Place::new();
    let source = place.layout(&Image::small());
    let file = place.path("digest");
    let wrap = |source: &str| wrap(source, &place.at("oci", "out:v1")).arg("--digest-file").arg(&file).run();
    wrap(&place.at("oci", "none")).exits(3);
    assert!(!file.exists());
    let digest = wrap(&source).succeeds().text().trim_end().rsplit('@').next().map(String::from);
    assert_eq!(std::fs::read_to_string(&file).ok(), digest);
    // An older file keeps its content.
    wrap(&place.at("oci", "none")).exits(3);
    assert_eq!(std::fs::read_to_string(&file).ok(), digest);
}

#[test]
fn a_table_without_images_has_no_head() {
    let failed = reapify(["inspect", "oci:/none/a", "oci:/none/b"]).run().exits(3);
    assert_eq!(failed.text(), "");
}

#[test]
fn an_error_about_the_expected_source_names_that_place_only() {
    let place = Place::new();
    let source = place.layout(&Image::small());
    let to = place.at("oci", "wrapped:v1");
    wrap(&source, &to).run().succeeds();
    let none = place.registry.name("none", "v1");
    let verify = reapify(["verify", "--source", &none, &to]).run().exits(3).says("error: the source: ");
    verify.never_says("wrapped");
}

#[test]
fn rejects_invalid_commands() {
    for (args, phrase) in [
        (&["wrap", "oci:here"][..], "required"),
        (&["reaper", "linux/vax", "-o", "x"], "linux/amd64"),
        (&["nonsense"], "nonsense"),
    ] {
        has_one_error(reapify(args).run().exits(2).says(phrase));
    }
}

#[test]
fn replaces_an_existing_archive_only_with_force() {
    let place = Place::new();
    let source = place.layout(&Image::small());
    for (name, transport) in [("oci.tar", "oci-archive"), ("docker.tar", "docker-archive")] {
        std::fs::write(place.path(name), "precious").expect("a file");
        let to = place.at(transport, name) + ":app:v1";
        let to = if transport == "oci-archive" { to.replace(":app:", ":") } else { to };
        has_one_error(wrap(&source, &to).run().exits(2).says("--force"));
        assert_eq!(std::fs::read(place.path(name)).expect("a file"), b"precious");
        wrap(&source, &to).arg("--force").run().succeeds();
        tool("skopeo", ["inspect", &to]).run().succeeds();
    }
}

#[test]
fn rejects_unwrapping_an_image_that_is_not_wrapped() {
    let place = Place::new();
    std::fs::create_dir_all(place.path("out")).expect("a directory");
    for source in [zombies(), place.pushed(&Image::small())] {
        for destination in place.destinations() {
            let outcome = reapify(["unwrap", &source, &destination]).run().exits(5).says("not wrapped");
            has_one_error(outcome);
            place.is_untouched();
        }
    }
}

#[test]
fn requires_a_choice_among_several_images() {
    let place = Place::new();
    let one = place.layout(&Image::small());
    let other = Image::new().in_layout(&place.path("other"), "v2");
    let both = place.at("oci", "both");
    for (source, tag) in [(one, "a"), (other, "b")] {
        tool("skopeo", ["copy", "-q", &source, &format!("{both}:{tag}")]).run().succeeds();
    }
    refused(&place, &both, &[], 2, &format!("choose one: {both}:a, {both}:b"));
    wrap(&format!("{both}:a"), &place.at("oci", "result:v1")).run().succeeds();
}

#[test]
fn all_commands_choose_platforms_alike() {
    let dir = support::scratch();
    let registry = Registry::start();
    let children = ["amd64", "arm64", "s390x"].map(|architecture| {
        let image = image_for("linux", architecture, "", Family::Oci);
        image.in_registry(&registry, "app", architecture);
        child(&image, "linux", architecture)
    });
    let index = json!({"schemaVersion": 2, "mediaType": Family::Oci.index(), "manifests": children});
    registry.put_manifest("app", "v1", Family::Oci.index(), index.to_string().as_bytes());
    let from = registry.name("app", "v1");
    for options in [
        &["--platform", "linux/amd64,linux/arm64"][..],
        &["--platform", "linux/amd64", "--platform", "linux/arm64"],
    ] {
        let found = reapify(["inspect", "--output", "json", &from]).args(options).run().succeeds().json();
        assert_eq!(found["platforms"].as_array().map(Vec::len), Some(2), "{found}");
        let to = format!("oci:{}:x", dir.path().join("copy").display());
        let report = reapify(["wrap", "--output", "json", &from, &to]).args(options).run().succeeds().json();
        assert_eq!(report["platforms"].as_array().map(Vec::len), Some(2), "{report}");
    }
}

#[test]
fn every_command_honours_or_rejects_output_formats() {
    let list = reapify(["reaper", "--list", "--output", "json"]).run().succeeds().json();
    let text = reapify(["reaper", "--list"]).run().succeeds().text();
    let list = list.as_array().expect("a list");
    assert_eq!(list.len(), text.lines().count());
    for (one, line) in list.iter().zip(text.lines()) {
        let words: Vec<&str> = line.split_whitespace().collect();
        assert_eq!(
            words,
            [
                one["platform"].as_str().unwrap(),
                &one["size"].to_string(),
                "bytes",
                one["digest"].as_str().unwrap()
            ]
        );
    }
    let dir = support::scratch();
    let file = dir.path().join("reaper");
    let written =
        reapify(["reaper", "linux/amd64", "--output", "json", "-o"]).arg(&file).run().succeeds().json();
    assert_eq!(written["digest"], support::image::digest(&std::fs::read(&file).expect("the reaper")));
    reapify(["man", "--output", "json"]).run().exits(2).says("--output");
    reapify(["completions", "bash", "--output", "json"]).run().exits(2).says("--output");
}

#[test]
fn login_and_logout_are_commands_of_other_programs() {
    for command in ["login", "logout"] {
        let outcome = reapify([command, "registry.example"])
            .env("REGISTRY_AUTH_FILE", "/logins/auth.json")
            .run()
            .exits(2);
        outcome.says(&format!("docker {command} HOST")).says("/logins/auth.json");
        let outcome = reapify([command, "--output", "json"]).env("HOME", "/someone").run().exits(2);
        let error: serde_json::Value = serde_json::from_str(outcome.stderr()).expect("one JSON object");
        assert!(error["hint"].as_str().unwrap().contains("/someone/.docker/config.json"), "{error}");
    }
}

#[test]
fn values_that_cannot_work_are_refused_before_anything_is_sent() {
    let (dir, zombies) = (scratch(), zombies());
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(path("text"), "no certificate").unwrap();
    for (args, message) in [
        (vec!["inspect", "--check", "strict", &zombies], "write --check=strict"),
        (vec!["inspect", &zombies, "--ca-file", &path("text")], "has no certificate in PEM format"),
        (vec!["inspect", &zombies, "--timeout", "0"], "must be at least 1"),
        (vec!["inspect", &zombies, "--commit-timeout", "18446744073709551615"], "must be at most 86400"),
        (vec!["inspect", &zombies, "--plain-http", "http://h.example/"], "leave out http://: h.example"),
        (vec!["wrap", &zombies, "out.tar"], "for a file use oci-archive:out.tar"),
        (vec!["wrap", &zombies, &format!("oci-archive:{}", dir.path().display())], "is a directory"),
        (vec!["reaper", "--list", "-o", &path("reaper")], "cannot be used with"),
        (vec!["man", "--output", "json"], "man has no JSON output; remove --output json"),
    ] {
        reapify(args).run().exits(2).says(message);
    }
    assert!(!dir.path().join("reaper").exists());
}

#[test]
fn nothing_is_lost_where_it_cannot_be_written() {
    let (dir, zombies, program) = (scratch(), zombies(), env!("CARGO_BIN_EXE_reapify"));
    let shell = |command: &str| tool("sh", ["-c", &format!("{program} {command}")]).run();
    let wrap = format!("wrap {zombies} oci-archive:-");
    shell(&format!("{wrap} >&-")).exits(1).says("standard output is closed");
    shell("reaper linux/amd64 -o - >&-").exits(1).says("standard output is closed");
    shell(&format!("{wrap} >/dev/null")).succeeds();
    let file = dir.path().join("none/reaper");
    let refused = reapify(["reaper", "linux/amd64", "-o"]).arg(&file).run().exits(1);
    refused.says(&format!("cannot write the reaper to {}", file.display()));
    assert!(!dir.path().join("none").exists());
}

#[test]
fn a_dry_run_fails_where_the_run_would() {
    let (dir, zombies) = (scratch(), zombies());
    let archive = format!("oci-archive:{}", dir.path().join("app.tar").display());
    let dry = |to: &str, options: &[&str]| reapify(["wrap", "--dry-run", &zombies, to]).args(options).run();
    dry(&archive, &[]).succeeds().prints_some("would create");
    reapify(["wrap", &zombies, &archive]).run().succeeds();
    dry(&archive, &[]).exits(2).says("exists");
    dry(&archive, &["--force"]).succeeds().prints_some(&format!("would replace {archive}"));
    let none = format!("docker-archive:{}", dir.path().join("none/app.tar").display());
    dry(&none, &[]).exits(1).says("cannot write to");
    let layout = |tag: &str| format!("oci:{}:{tag}", dir.path().join("layout").display());
    dry(&layout("v1"), &["--backup", "old"]).succeeds();
    reapify(["wrap", &zombies, &layout("v1")]).run().succeeds();
    let kept = dry(&layout("v1"), &["--group", "--backup", "old"]).succeeds();
    assert!(kept.text().contains(&format!("would keep the previous image as {}", layout("old"))), "{kept}");
}
