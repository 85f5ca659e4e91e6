use super::record::Annotations;
use super::{Decision, IfInit, Image, New, Outcome, Policy, decide, index, repeat};
use crate::error::{Kind, Result};
use crate::image::json::{Document, quote};
use crate::image::media_type::{
    DOCKER_CONFIG, DOCKER_LAYER_GZIP, DOCKER_MANIFEST, OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST,
};
use crate::image::{Content, Digest, Manifest};
use crate::reapers::Reapers;
use proptest::prelude::*;

fn digest(n: usize) -> String {
    Digest::sha256(n.to_string()).to_string()
}

fn manifest_text(config: &str, layers: usize, extra: &str) -> String {
    let layers: Vec<String> = (0..layers)
        .map(|n| format!(r#"{{"mediaType":"{OCI_LAYER_GZIP}","digest":"{}","size":{n}}}"#, digest(n)))
        .collect();
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"{OCI_CONFIG}","digest":"{}","size":{}}},"layers":[{}]{extra}}}"#,
        Digest::sha256(config),
        config.len(),
        layers.join(",")
    )
}

fn image(config: &str, layers: usize) -> Image {
    image_of(&manifest_text(config, layers, ""), config).unwrap()
}

fn image_of(manifest: &str, config: &str) -> Result<Image> {
    Image::new(Manifest::parse(manifest.to_string(), None)?, config.to_string().into(), true)
}

fn config(inner: &str, layers: usize, rest: &str) -> String {
    let ids: Vec<String> = (0..layers).map(|n| quote(&digest(n + 1000))).collect();
    format!(
        r#"{{"os":"linux","architecture":"amd64","config":{inner},"rootfs":{{"type":"layers","diff_ids":[{}]}}{rest}}}"#,
        ids.join(",")
    )
}

fn reapers(program: &'static [u8]) -> Reapers {
    let mut elf = vec![0; 64];
    elf[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0");
    elf.extend_from_slice(program);
    let mut reapers = Reapers::default();
    reapers.add(None, elf.into()).unwrap();
    reapers
}

fn wrap(image: &Image, reapers: &Reapers, policy: &Policy) -> Result<Outcome> {
    decide(image, &image.config.platform()?, reapers, policy)?.build(&[])
}

/// Returns the result of a wrap that builds an image.
fn wrapped(image: &Image, reapers: &Reapers, policy: &Policy) -> New {
    match wrap(image, reapers, policy).unwrap() {
        Outcome::Wrapped(new) | Outcome::Upgraded(new, _) => *new,
        other => panic!("{other:?}"),
    }
}

/// Returns the reason of a wrap that skips the image.
fn skipped(image: &Image, reapers: &Reapers, policy: &Policy) -> String {
    match wrap(image, reapers, policy).unwrap() {
        Outcome::Skipped { reason, .. } => reason,
        other => panic!("{other:?}"),
    }
}

/// Returns manifest and config before the wrap.
fn unwrap(image: &Image) -> Result<(Vec<u8>, Vec<u8>)> {
    super::unwrap(image).map(|o| (o.manifest.bytes.to_vec(), o.config.bytes.to_vec()))
}

/// Returns manifest and config.
fn texts(image: &Image) -> (Vec<u8>, Vec<u8>) {
    (image.manifest.bytes.to_vec(), image.config.bytes.to_vec())
}

fn after(result: &New) -> Image {
    Image::new(result.manifest.clone(), result.config.clone(), true).unwrap()
}

fn entrypoint(result: &New) -> Vec<String> {
    after(result).config.entrypoint.clone()
}

#[test]
fn wrap_prepends_the_reaper_and_keeps_cmd() {
    let cases: [(&str, &[&str], bool); 9] = [
        (r#"{"Entrypoint":["/app","-x"],"Cmd":["y"]}"#, &["/.reaper", "--", "/app", "-x"], false),
        (r#"{"Entrypoint": [ "a\u0062" ] }"#, &["/.reaper", "--", "ab"], false),
        (r#"{"Cmd":["y"]}"#, &["/.reaper", "--"], false),
        (r#"{"Entrypoint":null,"Cmd":["y"]}"#, &["/.reaper", "--"], false),
        (r#"{"Entrypoint":[],"Cmd":["y"]}"#, &["/.reaper", "--"], false),
        (r#"{"Entrypoint":[""],"Cmd":["y"]}"#, &["/.reaper", "--"], false),
        (
            r#"{"Entrypoint":["/bin/sh","-c","run it"]}"#,
            &["/.reaper", "--", "/bin/sh", "-c", "run it"],
            false,
        ),
        ("{}", &["/.reaper", "--"], true),
        ("null", &["/.reaper", "--"], true),
    ];
    for (inner, expected, is_noted) in cases {
        let image = image(&config(inner, 1, ""), 1);
        let result = wrapped(&image, &reapers(b""), &Policy::default());
        assert_eq!(entrypoint(&result), expected, "{inner}");
        assert_eq!(after(&result).config.cmd, image.config.cmd);
        assert_eq!(!result.notes.is_empty(), is_noted, "{inner}: {:?}", result.notes);
        assert_eq!(unwrap(&after(&result)).unwrap(), texts(&image));
    }
}

#[test]
fn wrap_changes_only_the_intended_bytes() {
    let inner = "{ \"Healthcheck\":{\"StartInterval\":1e3},\n \"OnBuild\":[\"\\u003c\"] , \"Entrypoint\" : [ \"/a\" ],\"Labels\":{\"x\" :\"y\" } }";
    let rest = r#", "moby.buildkit.buildinfo.v1" : 12345678901234567890123 ,"created":"2020-01-01T00:00:00Z","history":[{"created_by":"x"}]"#;
    let source = image(&config(inner, 1, rest), 1);
    let result = wrapped(&source, &reapers(b""), &Policy::default());
    let text = String::from_utf8(result.config.to_vec()).unwrap();
    let layer = &result.layer;
    let labels_at = text.find(",\"io.reapify.record\"").unwrap();
    let labels_end = labels_at + text[labels_at..].find(" } }").unwrap();
    let without_labels = format!("{}{}", &text[..labels_at], &text[labels_end..]);
    let expected = String::from_utf8(source.config.bytes.to_vec())
        .unwrap()
        .replace("[ \"/a\" ]", "[\"/.reaper\",\"--\", \"/a\" ]")
        .replace(&quote(&digest(1000)), &format!("{},{}", quote(&digest(1000)), quote(&layer.diff_id.to_string())))
        .replace(
            r#"[{"created_by":"x"}]"#,
            r#"[{"created_by":"x"},{"created":"2020-01-01T00:00:00Z","created_by":"reapify: add /.reaper, a reaper for PID 1","comment":"reapify"}]"#,
        );
    assert_eq!(without_labels, expected);
}

#[test]
fn history_gains_an_entry_only_if_it_matches_the_layers() {
    for (history, grows) in [
        (r#","history":[{"created_by":"a"},{"empty_layer":true}]"#, true),
        (r#","history":[]"#, false),
        (r#","history":[{},{}]"#, false),
        (r#","history":null"#, false),
        ("", false),
    ] {
        let source = image(&config("{}", 1, history), 1);
        let result = wrapped(&source, &reapers(b""), &Policy::default());
        let count = |i: &Image| i.config.history.as_ref().map(Vec::len);
        assert_eq!(count(&after(&result)) != count(&source), grows, "{history}");
    }
}

#[test]
fn wrapping_again_changes_nothing_and_a_new_reaper_replaces_the_old() {
    let source = image(&config(r#"{"Cmd":["x"]}"#, 2, ""), 2);
    let (old, new) = (reapers(b"old"), reapers(b"new"));
    let first = wrapped(&source, &old, &Policy::default());
    let again = wrap(&after(&first), &old, &Policy::default()).unwrap();
    assert!(matches!(again, Outcome::Unchanged(_)));

    assert!(matches!(wrap(&after(&first), &new, &Policy::default()).unwrap(), Outcome::Upgraded(..)));
    let upgraded = wrapped(&after(&first), &new, &Policy::default());
    assert_eq!(upgraded.manifest.bytes, wrapped(&source, &new, &Policy::default()).manifest.bytes);
    assert_eq!(after(&upgraded).config.diff_ids.len(), 3);

    let other = Policy { args: vec!["-g".into()], ..Policy::default() };
    let regrouped = wrapped(&after(&first), &old, &other);
    assert_eq!(entrypoint(&regrouped), ["/.reaper", "-g", "--"]);
}

/// Returns an image built `FROM` a wrapped one, with one more layer and the inherited labels.
fn built_from(wrapped: &Image, entrypoint: &str) -> Image {
    let mut text = Document::new(&wrapped.config.bytes).unwrap();
    text.push("/rootfs/diff_ids", &quote(&digest(77))).unwrap();
    if !entrypoint.is_empty() {
        text.set("/config/Entrypoint", entrypoint).unwrap();
    }
    let config = String::from_utf8(text.into_bytes()).unwrap();
    let n = wrapped.config.diff_ids.len() + 1;
    image_of(&manifest_text(&config, n, ""), &config).unwrap()
}

#[test]
fn an_image_built_from_a_wrapped_one_has_a_stale_record() {
    let source = image(&config(r#"{"Entrypoint":["a"]}"#, 1, ""), 1);
    let base = after(&wrapped(&source, &reapers(b""), &Policy::default()));

    let heir = built_from(&base, "");
    assert!(skipped(&heir, &reapers(b""), &Policy::default()).contains("base image is wrapped"));
    assert_eq!(unwrap(&heir).unwrap_err().kind(), Kind::Unsupported);

    let replaced = built_from(&base, r#"["b"]"#);
    let result = wrapped(&replaced, &reapers(b""), &Policy::default());
    assert_eq!(entrypoint(&result), ["/.reaper", "--", "b"]);
    assert_eq!(unwrap(&after(&result)).unwrap(), texts(&replaced));
}

#[test]
fn skips_images_with_an_init_unless_the_policy_wraps_them() {
    let source = image(&config(r#"{"Entrypoint":["/sbin/tini","--"],"Cmd":["x"]}"#, 1, ""), 1);
    assert!(skipped(&source, &reapers(b""), &Policy::default()).contains("tini"));
    let insist = Policy { if_init: IfInit::Wrap, ..Policy::default() };
    let result = after(&wrapped(&source, &reapers(b""), &insist));
    // A forced wrap remains, even if a later policy would skip the image.
    for (reapers, again) in [(reapers(b""), &Policy::default()), (reapers(b"new"), &Policy::default())] {
        let decision = decide(&result, &result.config.platform().unwrap(), &reapers, again).unwrap();
        assert!(matches!(decision, Decision::Skip { original: Some(_), .. }), "{decision:?}");
        assert!(skipped(&result, &reapers, again).contains("keeps its reaper"));
    }
    let cmd = image(&config(r#"{"Cmd":["/init"]}"#, 1, ""), 1);
    assert!(skipped(&cmd, &reapers(b""), &Policy::default()).contains("/init"));
}

#[test]
fn the_added_layer_has_the_family_of_the_manifest() {
    let text = config("{}", 1, "");
    let docker = manifest_text(&text, 1, "")
        .replace(OCI_MANIFEST, DOCKER_MANIFEST)
        .replace(OCI_CONFIG, DOCKER_CONFIG)
        .replace(OCI_LAYER_GZIP, DOCKER_LAYER_GZIP);
    let source = image_of(&docker, &text).unwrap();
    let result = wrapped(&source, &reapers(b""), &Policy::default());
    assert!(result.manifest.annotations.is_empty());
    assert!(result.manifest.blobs().iter().all(|b| b.media_type.contains("docker")));
    assert_eq!(unwrap(&after(&result)).unwrap(), texts(&source));
}

#[test]
fn updates_embedded_data_with_its_target() {
    use base64::Engine as _;
    let encode = |b: &[u8]| base64::engine::general_purpose::STANDARD.encode(b);
    let text = config("{}", 0, "");
    let with = |data: &str| {
        manifest_text(&text, 0, "").replacen("},\"layers\"", &format!(",\"data\":\"{data}\"}},\"layers\""), 1)
    };
    let source = image_of(&with(&encode(text.as_bytes())), &text).unwrap();
    let result = wrapped(&source, &reapers(b""), &Policy::default());
    let Content::Image { config, .. } = &result.manifest.content else { panic!() };
    assert_eq!(config.data.as_deref(), Some(encode(&result.config).as_str()));
    assert!(repeat::is_possible_result(&source.manifest, &result.manifest));
    assert_eq!(unwrap(&after(&result)).unwrap(), texts(&source));
    // Data that differs from its target could not be restored.
    for (data, why) in [("AAAA", "does not match its digest"), ("A A", "is not valid base64")] {
        let liar = image_of(&with(data), &text).unwrap();
        let error = wrap(&liar, &reapers(b""), &Policy::default()).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn rejects_images_that_it_cannot_handle() {
    let error = |image: Result<Image>| match image {
        Ok(image) => wrap(&image, &reapers(b""), &Policy::default()).unwrap_err(),
        Err(error) => error,
    };
    let plain = config("{}", 1, "");
    let windows = plain.replace("linux", "windows");
    let nowhere = plain.replace("amd64", "vax");
    for (result, why) in [
        (image_of(&manifest_text(&plain, 2, ""), &plain), "2 layers, but the config has 1"),
        (image_of(&manifest_text(&windows, 1, ""), &windows), "no reaper for windows/amd64"),
        (image_of(&manifest_text(&nowhere, 1, ""), &nowhere), "no reaper for linux/vax"),
        (image_of(&manifest_text(&config("{}", 127, ""), 127, ""), &config("{}", 127, "")), "127 layers"),
        (
            image_of(&manifest_text(&plain, 1, "").replace("tar+gzip", "tar+gzip+encrypted"), &plain),
            "encrypted",
        ),
        (
            image_of(
                &manifest_text(&plain, 1, "").replace(OCI_LAYER_GZIP, "application/vnd.in-toto+json"),
                &plain,
            ),
            "artifact",
        ),
        (
            image_of(
                &manifest_text("{}", 0, "").replace(OCI_CONFIG, "application/vnd.cncf.helm.config.v1+json"),
                "{}",
            ),
            "helm",
        ),
        (image_of(&manifest_text(&config("[]", 1, ""), 1, ""), &config("[]", 1, "")), "malformed"),
        (
            image_of(
                &manifest_text(&config(r#"{"Labels":{"a":"1","a":"2"}}"#, 1, ""), 1, ""),
                &config(r#"{"Labels":{"a":"1","a":"2"}}"#, 1, ""),
            ),
            "duplicate key",
        ),
    ] {
        let error = error(result);
        assert!(error.to_string().contains(why), "{error} / {why}");
        assert_eq!(error.kind(), Kind::Unsupported);
    }
    // One layer fewer is the maximum.
    assert!(wrap(&image(&config("{}", 126, ""), 126), &reapers(b""), &Policy::default()).is_ok());
}

#[test]
fn unwrap_restores_an_index() {
    let child = image(&config("{}", 1, ""), 1);
    let result = wrapped(&child, &reapers(b""), &Policy::default());
    for annotations in
        ["", r#","annotations":null"#, r#","annotations":{ }"#, r#", "annotations" : {"a":"b"}"#]
    {
        let text = format!(
            r#"{{"schemaVersion":2, "manifests":[ {{"digest":"{}","size":{} ,"mediaType":"{OCI_MANIFEST}"}}, {{"mediaType":"x/y","digest":"{}","size":1}}]{annotations}}}"#,
            child.manifest.digest,
            child.manifest.bytes.len(),
            digest(5)
        );
        let source = Manifest::parse(text, None).unwrap();
        let recipe = index::recipe(&reapers(b""), &Policy::default(), "");
        let history = index::unwrap(&source, &[], false).unwrap();
        let new = index::Replaced { position: 0, manifest: result.manifest.clone() };
        let result =
            index::wrap(&history, std::slice::from_ref(&new), &[], 0, &recipe, history.original.family())
                .unwrap();
        let annotations = Annotations::read(&result).unwrap();
        assert_eq!((&annotations.source, &annotations.recipe), (&source.digest, &recipe));
        assert!(annotations.describe(&result));
        assert_eq!(index::kept(&result), [1]);
        let old = index::Replaced { position: 0, manifest: child.manifest.clone() };
        let back = index::unwrap(&result, std::slice::from_ref(&old), false).unwrap();
        assert_eq!((&back.original.bytes, back.dropped), (&source.bytes, 0));

        let narrowed =
            index::wrap(&history, std::slice::from_ref(&new), &[1], 0, &recipe, history.original.family())
                .unwrap();
        assert_eq!(narrowed.children().len(), 1);
        let kept = index::unwrap(&narrowed, &[old], false).unwrap();
        assert_eq!(
            (kept.original.children()[0].digest.clone(), kept.dropped, kept.source.clone()),
            (child.manifest.digest.clone(), 1, source.digest.clone())
        );
        assert_eq!(
            index::wrap(&kept, &[new], &[], 0, &recipe, kept.original.family()).unwrap().bytes,
            narrowed.bytes
        );
    }
}

#[test]
fn a_record_of_too_many_dropped_children_is_not_ours() {
    let child = image(&config("{}", 1, ""), 1);
    let entry = format!(
        r#"{{"digest":"{}","size":{},"mediaType":"{OCI_MANIFEST}"}}"#,
        child.manifest.digest,
        child.manifest.bytes.len()
    );
    for (dropped, is_ours) in [(0, true), (1024, true), (1025, false), (usize::MAX, false)] {
        let annotations = format!(
            r#"{{"io.reapify.source":"{}","io.reapify.recipe":"{}","io.reapify.undo":"{{\"index\":[],\"dropped\":{dropped}}}"}}"#,
            digest(1),
            digest(2)
        );
        let text =
            format!(r#"{{"schemaVersion":2,"manifests":[{entry},{entry}],"annotations":{annotations}}}"#);
        let index = Manifest::parse(text, None).unwrap();
        let history = index::unwrap(&index, &[], false).unwrap();
        assert_eq!(history.is_stale, !is_ours, "{dropped}");
        assert_eq!(history.dropped, if is_ours { dropped } else { 0 });
        let recipe = index::recipe(&reapers(b""), &Policy::default(), "");
        index::wrap(&history, &[], &[1], 1, &recipe, history.original.family()).unwrap();
    }
}

fn white() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", " ", "\n  ", "\t"]).prop_map(String::from)
}

fn json_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_string()),
        Just("true".to_string()),
        Just("1e3".to_string()),
        Just("-0.10".to_string()),
        Just("12345678901234567890123".to_string()),
        Just(r#""\u003c\/ü""#.to_string()),
        "[ -~]{0,8}".prop_map(|s| quote(&s)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..3), white())
                .prop_map(|(v, w)| format!("[{w}{}]", v.join(&format!("{w},")))),
            (prop::collection::btree_map("[a-z]{1,4}", inner, 0..3), white()).prop_map(|(m, w)| {
                let members: Vec<String> = m.iter().map(|(k, v)| format!("{w}\"{k}\" :{v}")).collect();
                format!("{{{}{w}}}", members.join(","))
            }),
        ]
    })
}

prop_compose! {
    /// Configs with keys in any order, any white space, and unknown fields.
    fn any_config(layers: usize)(
        entrypoint in prop::option::of(prop::sample::select(vec!["null", "[]", "[\"\"]", "[ \"/a\" ,\"b\"]"])),
        cmd in prop::option::of(prop::sample::select(vec!["null", "[]", "[\"c\"]"])),
        labels in prop::option::of(prop::sample::select(vec!["null", "{}", "{ }", r#"{"a":"b"}"#, r#"{"a":"b", "io.reapify.path":"/x" }"#, r#"{"io.reapify.undo":"?"}"#])),
        history in prop::option::of(prop::sample::select(vec!["null", "[]", r#"[{"empty_layer":true} ]"#, r#"[ {"x":1},{"x":2} ]"#])),
        inner_shape in 0..4,
        unknown in prop::collection::btree_map("x[a-z]{1,5}", json_value(), 0..4),
        space in white(),
        order in Just(()).prop_perturb(|(), mut rng| rng.random::<u64>()),
    ) -> String {
        let ids: Vec<String> = (0..layers).map(|n| quote(&digest(n + 1000))).collect();
        let join = |mut members: Vec<(String, String)>| {
            members.sort_by_key(|(k, _)| Digest::sha256(format!("{order}{k}")).to_string());
            let members: Vec<String> = members.iter().map(|(k, v)| format!("{space}\"{k}\"{space}:{space}{v}")).collect();
            format!("{{{}{space}}}", members.join(","))
        };
        let option = |key: &str, value: Option<&str>| value.map(|v| (key.to_string(), v.to_string()));
        let mut inner: Vec<(String, String)> = vec![];
        inner.extend(option("Entrypoint", entrypoint));
        inner.extend(option("Cmd", cmd));
        inner.extend(option("Labels", labels));
        inner.extend(unknown.iter().map(|(k, v)| (k.clone(), v.clone())));
        let mut root = vec![
            ("os".to_string(), "\"linux\"".to_string()),
            ("architecture".to_string(), "\"amd64\"".to_string()),
            ("rootfs".to_string(), format!("{{\"type\":\"layers\",{space}\"diff_ids\":[{space}{}]}}", ids.join(","))),
        ];
        root.extend(option("history", history));
        root.extend(unknown);
        match inner_shape {
            0 => {}
            1 => root.push(("config".into(), "null".into())),
            _ => root.push(("config".into(), join(inner))),
        }
        join(root)
    }
}

proptest! {
    #[test]
    fn unwrap_is_the_inverse_of_wrap(
        (layers, text) in (0usize..4).prop_flat_map(|n| (Just(n), any_config(n))),
        annotations in prop::sample::select(vec!["", r#", "annotations" : null"#, r#","annotations":{ }"#, r#","annotations":{"a":"b"},"x":1"#]),
        trailing in white(),
    ) {
        let manifest = manifest_text(&text, layers, annotations) + &trailing;
        let source = image_of(&manifest, &text).unwrap();
        if let Outcome::Wrapped(new) = wrap(&source, &reapers(b""), &Policy::default()).unwrap() {
            let result = after(&new);
            prop_assert!(repeat::is_possible_result(&source.manifest, &result.manifest));
            let annotations = Annotations::read(&result.manifest).unwrap();
            prop_assert!(annotations.describe(&result.manifest));
            prop_assert_eq!(unwrap(&result).unwrap(), texts(&source));
            let again = wrap(&result, &reapers(b""), &Policy::default()).unwrap();
            prop_assert!(matches!(again, Outcome::Unchanged(_)));
        }
    }
}
