//! Templates: what they come to, and what is refused.

use super::{World, config, error, loaded};
use crate::mirror::config::{Context, Reference, Scope, Sync, Template};

fn render(text: &str) -> String {
    let world = World::new(&[("USER", "Ada"), ("EMPTY", ""), ("/f", "  from file \n")]);
    let reference = Reference {
        registry: "registry.example:5000".into(),
        repository: "library/Alpine".into(),
        tag: "3.20".into(),
        common_name: "registry.example:5000/library/Alpine:3.20".into(),
        ..Reference::default()
    };
    let sync = Sync { source: "alpine".into(), kind: "repository".into(), ..Sync::default() };
    let template = Template::parse(text, Scope::Image, &world).unwrap_or_else(|e| panic!("{text}: {e}"));
    template.render(&Context { reference: Some(&reference), sync: Some(&sync) }).unwrap()
}

#[test]
fn templates_render_as_in_go() {
    for (text, expected) in [
        ("", ""),
        ("plain } text }}", "plain } text }}"),
        ("old-{{.Ref.Tag}}", "old-3.20"),
        ("{{ .Ref.Registry }}/old/{{.Ref.Repository|lower}}", "registry.example:5000/old/library/alpine"),
        ("{{ env \"USER\" | upper }}", "ADA"),
        ("{{ upper (env \"USER\") }}", "ADA"),
        ("{{ file \"/f\" }}!", "from file!"),
        ("{{ env \"NONE\" | default \"x\" }}", "x"),
        ("{{ default \"x\" (env \"EMPTY\") }}", "x"),
        ("{{ default \"x\" (env \"USER\") }}", "Ada"),
        ("{{ env `USER` }}", "Ada"),
        ("{{ \"  a b \" | trimSpace }}", "a b"),
        ("{{ \"\\\"q\\\" \\u00e9\\x41\" }}", "\"q\" éA"),
        ("a  {{- \"b\" -}}\n c", "abc"),
        ("a {{/* nothing */}} b", "a  b"),
        ("a {{- /* nothing */ -}} b", "ab"),
        ("{{ \"}}\" }}", "}}"),
        ("{{\n.Ref.Tag\n}}", "3.20"),
        ("{{ (.Sync.Source) }}-{{ .Step.Type }}", "alpine-repository"),
        ("{{ .Ref.CommonName }}", "registry.example:5000/library/Alpine:3.20"),
    ] {
        assert_eq!(render(text), expected, "{text}");
    }
}

#[test]
fn unsupported_syntax_is_named() {
    for (text, message) in [
        ("{{ index (split .Sync.Source \"/\") 1 }}", "the function \"index\" is not supported"),
        ("{{ split .Ref.Tag \"-\" }}", "the function \"split\" is not supported"),
        ("{{$t := time.Now}}", "variables such as $t are not supported"),
        ("{{ time.Now }}", "the function \"time\" is not supported"),
        ("{{ printf \"%s\" .Ref.Tag }}", "the function \"printf\" is not supported"),
        ("{{ if .Ref.Tag }}x{{ end }}", "the action \"if\" is not supported"),
        ("{{ .Ref.Tagg }}", "the field .Ref.Tagg is not known"),
        ("{{ .Ref }}", "the field .Ref is not known"),
        ("{{ . }}", "the field . is not known"),
        ("{{ .Sync.MediaTypes }}", "the field .Sync.MediaTypes is not known"),
        ("{{ .Source.Tag }}", "the field .Source.Tag is not known"),
        ("{{ env }}", "env takes 1 argument, not 0"),
        ("{{ default \"a\" }}", "default takes 2 arguments, not 1"),
        ("{{ lower env \"X\" }}", "put env and its arguments in parentheses"),
        ("{{ .Ref.Tag \"x\" }}", "only a function takes arguments"),
        ("{{ .Ref.Tag | \"x\" }}", "only a function takes arguments"),
        ("{{ env .Ref.Tag }}", "the argument of env must not depend on the entry or the image"),
        ("{{ }}", "a value is missing"),
        ("{{ .Ref.Tag | }}", "a value is missing"),
        ("{{ .Ref.Tag", "the action is not closed by }}"),
        ("{{ \"a", "the text is not closed by a double quote"),
        ("{{ \"\\q\" }}", "the escape sequence is not supported"),
        ("{{ (.Ref.Tag }}", "the parenthesis is not closed"),
        ("{{ 3 }}", "3 is not text: put it in double quotes"),
        ("{{ .Ref.Tag ? }}", "unexpected '?'"),
        ("{{/* open", "the comment is not closed"),
    ] {
        let error = Template::parse(text, Scope::Image, &World::default()).unwrap_err();
        assert_eq!(error.message, format!("invalid template: {message}"), "{text}");
    }
    let deep = format!("{{{{ {}\"a\"{} }}}}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(Template::parse(&deep, Scope::Plain, &World::default()).is_err());
    let piped = format!("{{{{ \"a\"{} }}}}", " | lower".repeat(100_000));
    assert!(Template::parse(&piped, Scope::Plain, &World::default()).is_err());
}

#[test]
fn fields_are_known_only_where_regsync_knows_them() {
    let of = |text: &str, scope| Template::parse(text, scope, &World::default()).map(|_| ());
    assert!(of("{{.Sync.Source}}", Scope::Plain).is_err());
    assert!(of("{{.Sync.Source}}", Scope::Entry).is_ok());
    assert!(of("{{.Ref.Tag}}", Scope::Entry).is_err());
    assert!(of("{{.Step.Source}}", Scope::Entry).is_err());
    assert!(of("{{.Ref.Tag}}{{.Step.Source}}", Scope::Image).is_ok());
    assert!(of("{{.Source.Tag}}{{.Source.Repository}}{{.Sync.Type}}", Scope::Tag).is_ok());
    assert!(of("{{.Source}}", Scope::Tag).is_err());
}

#[test]
fn errors_in_templates_name_the_place_in_the_file() {
    let (message, hint) =
        error("sync:\n- source: a\n  type: image\n  target: \"b/{{ lowr .Sync.Source }}\"\n");
    assert_eq!(
        message,
        "regsync.yml:4:17: invalid template: the function \"lowr\" is not supported in \"target\""
    );
    assert_eq!(hint.as_deref(), Some("did you mean \"lower\"?"));
    let (message, _) = error("defaults:\n  backup: x-{{.Ref.Tga}}\n");
    assert_eq!(message, "regsync.yml:2:15: invalid template: the field .Ref.Tga is not known in \"backup\"");
    let (message, _) = error("creds: [{registry: a, user: '{{.Ref.Tag}}'}]\n");
    assert!(message.contains("the field .Ref.Tag cannot be used here in \"user\""), "{message}");
    let (message, _) = error("creds: [{registry: a, token: '{{env \"X\"}}'}]\n");
    assert_eq!(message, "regsync.yml:1:30: invalid token: templates are not expanded here");
}

#[test]
fn a_target_tag_sees_the_source_image() {
    let text =
        "sync: [{source: a, target: b, type: repository, targetTag: '{{ .Source.Tag }}-x', interval: 90m}]\n";
    let entry = config(text).entries.remove(0);
    let reference = Reference { tag: "v1".into(), ..Reference::default() };
    let context = Context { reference: Some(&reference), sync: Some(&entry.sync()) };
    assert_eq!(entry.target_tag.as_ref().unwrap().render(&context).unwrap(), "v1-x");
    assert_eq!(entry.sync().interval, "1h30m0s");
    assert!(entry.target_tag.unwrap().render(&Context::default()).is_err());
}

#[test]
fn a_target_sees_the_expanded_source() {
    let text =
        "sync: [{source: 'a/{{ env \"PROJECT\" }}', target: 'b.example/{{ .Sync.Source }}', type: image}]\n";
    assert_eq!(config(text).entries[0].target, "b.example/a/warehouse");
}

#[test]
fn missing_values_are_noted() {
    let loaded = loaded(
        "creds:\n- registry: a.example\n  user: '{{ env \"NOT_SET\" }}'\n  pass: '{{ file \"/none\" }}'\nsync: []\n",
    );
    assert_eq!((&loaded.config.credentials[0].user, &loaded.config.credentials[0].pass), (&None, &None));
    let notes: Vec<String> = loaded.notes.iter().map(ToString::to_string).collect();
    assert!(
        notes.contains(
            &"3:9: environment variable \"NOT_SET\" is not set: it counts as empty in \"user\"".into()
        ),
        "{notes:?}"
    );
    assert!(notes.iter().any(|note| note.starts_with("4:9: file \"/none\" cannot be read")), "{notes:?}");
}

#[test]
fn missing_values_with_a_default_are_not_noted() {
    let missing =
        |text: &str| Template::parse(text, Scope::Plain, &World::default()).unwrap().missing().len();
    assert_eq!(missing("{{ env \"A\" | lower | default \"x\" }}"), 0);
    assert_eq!(missing("{{ default \"x\" (env \"A\") }}"), 0);
    assert_eq!(missing("{{ env \"A\" | default \"\" }}"), 1);
    assert_eq!(missing("{{ env \"B\" }}{{ env \"A\" | default \"x\" }}{{ env \"C\" }}"), 2);
}

#[test]
fn notes_are_bounded() {
    let entry = |n: usize| format!("- {{source: 'a{{{{ env \"V{n}\" }}}}', target: b, type: image}}\n");
    let text = format!("sync:\n{}", (0..1_000).map(entry).collect::<String>());
    let notes = loaded(&text).notes;
    assert_eq!(notes.len(), 101);
    assert_eq!(notes[100].text, "further notes are not shown");
}

#[test]
fn the_debug_form_of_a_template_does_not_show_what_it_read() {
    let template = Template::parse("{{ env \"HUB_PASSWORD\" }}", Scope::Image, &World::full()).unwrap();
    assert!(!format!("{template:?}").contains("hunter2"));
}
