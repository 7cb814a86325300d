//! Texts and chats as tokens: agreement with reference models, and refusal of what is broken.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::shared::shared;
use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;
use proxmo::lm::{Chat, ChatTemplate, Tokenizer};
use serde_json::{Value, json};

const MODELS: [&str; 4] = ["llama", "llama3-sharded-bf16", "qwen2", "qwen3"];

fn reference(folder: &Path) -> Value {
    let file = fs::File::open(folder.join("reference.json.xz")).unwrap();
    serde_json::from_reader(liblzma::read::XzDecoder::new(file)).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name].as_array().unwrap()
}

/// A JSON file with changes.
fn changed(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    change(&mut value);
    fs::write(path, value.to_string()).unwrap();
}

/// A copy of a reference model.
fn copied(name: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    let model = shared("lm/models")?.join(name);
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(model).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            let bytes = fs::read(entry.path()).unwrap();
            fs::write(folder.path().join(entry.file_name()), bytes).unwrap();
        }
    }
    let path = folder.path().to_path_buf();
    Some((folder, path))
}

fn lm(arguments: &[&str]) -> Command {
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.arg("lm").args(arguments);
    command
}

/// The lines that a command writes for lines on standard input.
fn answered(command: &str, model: &Path, lines: &[Value]) -> Vec<Value> {
    let input: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut command = lm(&[command, "--model", model.to_str().unwrap(), "--input", "-"]);
    let assert = command.write_stdin(input).assert().success().stderr("");
    let output = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Asserts one line on standard error, exit code 2 and nothing on standard output.
fn refused(command: &str, model: &Path, input: &str, says: &str) {
    let one_line = predicate::function(|text: &str| text.trim_end().lines().count() == 1);
    let mut command = lm(&[command, "--model", model.to_str().unwrap(), "--input", "-"]);
    let assert = command.write_stdin(input.to_string()).assert();
    assert.code(2).stdout("").stderr(contains(says).and(one_line));
}

#[test]
fn texts_and_chats_have_the_tokens_of_the_references() {
    let Some(models) = shared("lm/models") else { return };
    for name in MODELS {
        let folder = models.join(name);
        let reference = reference(&folder);
        let tokenizer = Tokenizer::open(&folder).unwrap();
        for text in list(&reference, "texts") {
            let ids = tokenizer.encode(text["text"].as_str().unwrap()).unwrap();
            assert_eq!(json!(ids), text["ids"], "{name}: {}", text["text"]);
            assert_eq!(json!(tokenizer.decode(&ids).unwrap()), text["decoded"], "{name}");
        }
        for expected in list(&reference, "chats") {
            let chat = Chat {
                messages: list(expected, "messages").clone(),
                add_generation_prompt: expected["add_generation_prompt"].as_bool().unwrap(),
                ..Chat::default()
            };
            let text = tokenizer.render(&chat).unwrap();
            assert_eq!(json!(text), expected["text"], "{name}");
            assert_eq!(json!(tokenizer.encode(&text).unwrap()), expected["ids"], "{name}");
        }
    }
}

#[test]
fn the_command_adds_text_ids_and_decoded_text_to_each_line() {
    let Some(models) = shared("lm/models") else { return };
    for name in MODELS {
        let reference = reference(&models.join(name));
        let texts = list(&reference, "texts");
        let chats = list(&reference, "chats");
        let mut lines: Vec<Value> =
            texts.iter().map(|one| json!({"text": one["text"], "n": 1})).collect();
        lines.extend(chats.iter().map(|one| {
            json!({
                "messages": one["messages"],
                "add_generation_prompt": one["add_generation_prompt"],
            })
        }));
        let answers = answered("tokens", &models.join(name), &lines);
        assert_eq!(answers.len(), lines.len());
        for (answer, expected) in answers.iter().zip(texts.iter().chain(chats)) {
            assert_eq!(answer["text"], expected["text"], "{name}");
            assert_eq!(answer["ids"], expected["ids"], "{name}");
            if !expected["decoded"].is_null() {
                assert_eq!((&answer["decoded"], &answer["n"]), (&expected["decoded"], &json!(1)));
            }
        }
        assert_eq!(answered("tokens", &models.join(name), &answers), answers);
    }
}

#[test]
fn scores_of_a_text_are_those_of_its_tokens() {
    let Some(models) = shared("lm/models") else { return };
    let folder = models.join("qwen3");
    let chat = json!([{"role": "user", "content": "look"}]);
    let lines = [json!({"text": "go to desk 1"}), json!({"messages": chat})];
    let ids: Vec<Value> = answered("tokens", &folder, &lines)
        .iter()
        .map(|line| json!({"ids": line["ids"]}))
        .collect();
    let of_texts = answered("score", &folder, &lines);
    for (text, ids) in of_texts.iter().zip(answered("score", &folder, &ids)) {
        assert!(text["log_probs"].as_array().unwrap().len() > 2);
        assert_eq!(text["log_probs"], ids["log_probs"]);
        assert_eq!(text["entropy"], ids["entropy"]);
    }
}

#[test]
fn special_tokens_are_added_only_on_request() {
    let Some((_kept, folder)) = copied("qwen2") else { return };
    changed(&folder.join("tokenizer.json"), |tokenizer| {
        tokenizer["post_processor"] = json!({
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "<s>", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}},
        });
    });
    let lines = [
        json!({"text": "look"}),
        json!({"text": "look", "add_special_tokens": true}),
        json!({"ids": [3, 358]}),
    ];
    let answers = answered("tokens", &folder, &lines);
    assert_eq!(answers[0]["ids"], json!([358]));
    assert_eq!((&answers[1]["ids"], &answers[1]["decoded"]), (&json!([3, 358]), &json!("<s>look")));
    assert_eq!((&answers[2]["decoded"], &answers[2]["text"]), (&json!("<s>look"), &Value::Null));
}

#[test]
fn lines_at_fault_are_named_after_the_lines_before_them() {
    let Some(models) = shared("lm/models") else { return };
    let folder = models.join("qwen2");
    for (line, says) in [
        (r#"{"text":7}"#, r#"standard input:1: "text": expected a text, found 7"#),
        (r#"{"messages":{}}"#, r#"standard input:1: "messages": expected a list"#),
        (r#"{"messages":[]}"#, r#"standard input:1: "messages" is empty"#),
        (
            r#"{"messages":[{"content":"x"}]}"#,
            r#"standard input:1: "messages"[0]: "role" is missing"#,
        ),
        (r#"{"task":"x"}"#, r#"expected the member "ids", "text" or "messages""#),
        ("{", "standard input:1: EOF"),
    ] {
        refused("tokens", &folder, line, says);
    }
    let mut command = lm(&["tokens", "--model", folder.to_str().unwrap(), "--input", "-"]);
    let assert = command.write_stdin("{\"text\":\"look\"}\n\n{\"text\":1}\n").assert().code(2);
    assert.stdout(contains("[358]")).stderr(contains("standard input:3: "));
}

#[test]
fn a_model_without_tokenizer_or_template_takes_ids_and_refuses_texts_or_chats() {
    let Some((_kept, folder)) = copied("qwen2") else { return };
    fs::remove_file(folder.join("chat_template.jinja")).unwrap();
    let chat = r#"{"messages":[{"role":"user","content":"hi"}]}"#;
    let says = r#"standard input:1: messages: the model has no chat template"#;
    refused("tokens", &folder, chat, says);
    refused("score", &folder, chat, says);
    assert_eq!(answered("tokens", &folder, &[json!({"text": "look"})])[0]["ids"], json!([358]));

    fs::remove_file(folder.join("tokenizer.json")).unwrap();
    let says =
        "standard input:1: the model has no tokenizer (tokenizer.json): give \"ids\" instead";
    refused("score", &folder, r#"{"text":"look"}"#, says);
    refused("score", &folder, chat, says);
    let scored = answered("score", &folder, &[json!({"ids": [358, 2]})]);
    assert_eq!(scored[0]["log_probs"].as_array().unwrap().len(), 1);
}

#[test]
fn a_broken_tokenizer_is_refused_with_its_file() {
    let Some((_kept, folder)) = copied("qwen2") else { return };
    let path = folder.join("tokenizer.json");
    let whole = fs::read(&path).unwrap();
    let refused = |says: &str| refused("tokens", &folder, "{\"text\":\"look\"}", says);

    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    refused("tokenizer.json: EOF while parsing");
    // The tokenizer library panics on such a decoder.
    let text = String::from_utf8(whole.clone()).unwrap();
    let at = text.find("\"decoder\"").unwrap() + "\"decoder\":".len();
    fs::write(&path, format!("{}?{}", &text[..at], &text[at..])).unwrap();
    refused("tokenizer.json: expected value at line");
    for (change, says) in [
        (json!({"type": "None"}), "tokenizer.json: data did not match any variant"),
        (
            json!({"type": "BPE", "vocab": {}, "merges": []}),
            "tokenizer.json: the vocabulary is empty",
        ),
    ] {
        fs::write(&path, &whole).unwrap();
        changed(&path, |tokenizer| {
            tokenizer["model"] = change;
            tokenizer["added_tokens"] = json!([]);
        });
        refused(says);
    }

    // These would fail on every text.
    fs::write(&path, &whole).unwrap();
    changed(&path, |tokenizer| {
        tokenizer["pre_tokenizer"] = json!({"type": "FixedLength", "length": 0});
    });
    refused("tokenizer.json: pre_tokenizer: the length is 0");
    fs::write(&path, &whole).unwrap();
    changed(&path, |tokenizer| {
        let piece = json!({"SpecialToken": {"id": "<x>", "type_id": 0}});
        tokenizer["post_processor"]["single"] = json!([piece]);
    });
    refused("tokenizer.json: post_processor: '<x>' is not among its special tokens");

    fs::write(&path, &whole).unwrap();
    fs::write(folder.join("tokenizer_config.json"), "[]").unwrap();
    refused("tokenizer_config.json: invalid type");
}

#[test]
fn a_tokenizer_with_ids_beyond_the_model_is_refused_and_a_smaller_one_is_not() {
    let Some((_kept, folder)) = copied("qwen2") else { return };
    let config = folder.join("config.json");
    changed(&config, |config| config["vocab_size"] = json!(699));
    let says = "tokenizer.json: has ids up to 699, but the model's vocabulary is 699";
    refused("tokens", &folder, "{\"text\":\"look\"}", says);
    changed(&config, |config| config["vocab_size"] = json!(704));
    assert_eq!(answered("tokens", &folder, &[json!({"text": "look"})])[0]["ids"], json!([358]));
}

#[test]
fn dropout_padding_and_truncation_of_a_tokenizer_are_switched_off() {
    let Some((_kept, folder)) = copied("qwen2") else { return };
    let text = "You are in the middle of a room. Looking quickly around you, you see a cabinet 3.";
    let expected = Tokenizer::open(&folder).unwrap().encode(text).unwrap();
    changed(&folder.join("tokenizer.json"), |tokenizer| {
        tokenizer["model"]["dropout"] = json!(0.9);
        tokenizer["truncation"] = json!({
            "direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0
        });
        tokenizer["padding"] = json!({
            "strategy": {"Fixed": 64}, "direction": "Right", "pad_to_multiple_of": null,
            "pad_id": 0, "pad_type_id": 0, "pad_token": "<|endoftext|>"
        });
    });
    assert_eq!(Tokenizer::open(&folder).unwrap().encode(text).unwrap(), expected);
}

#[test]
fn the_end_of_a_text_is_read_from_the_first_file_that_names_it() {
    let Some((_kept, folder)) = copied("llama") else { return };
    let ends = || Tokenizer::open(&folder).unwrap().end_ids().to_vec();
    let generation = folder.join("generation_config.json");
    changed(&generation, |config| config["eos_token_id"] = json!([5, 3]));
    assert_eq!(ends(), [5, 3]);
    changed(&generation, |config| config["eos_token_id"] = Value::Null);
    assert_eq!(ends(), [2], "config.json");
    changed(&folder.join("config.json"), |config| config["eos_token_id"] = Value::Null);
    assert_eq!(ends(), [5], "the token </s> of tokenizer_config.json");
    changed(&folder.join("config.json"), |config| config["eos_token_id"] = json!("</s>"));
    let error = Tokenizer::open(&folder).unwrap_err();
    assert!(error.to_string().contains("config.json: eos_token_id is neither"), "{error}");
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn special_tokens_may_be_objects_and_templates_may_have_names() {
    let Some((_kept, folder)) = copied("llama") else { return };
    changed(&folder.join("tokenizer_config.json"), |config| {
        config["bos_token"] = json!({"__type": "AddedToken", "content": "<s>", "lstrip": false});
        config["chat_template"] = json!([
            {"name": "tool_use", "template": "{{ bos_token }}{{ tools|tojson }}"},
            {"name": "default", "template": "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}"},
        ]);
    });
    let messages = json!([{"role": "user", "content": "hi"}]);
    let lines =
        [json!({"messages": messages}), json!({"messages": messages, "tools": [{"a": "<é>"}]})];
    let answers = answered("tokens", &folder, &lines);
    assert_eq!(answers[0]["text"], "<s>hi</s>");
    assert_eq!(answers[1]["text"], r#"<s>[{"a": "<é>"}]"#);

    // The file counts before the member.
    fs::write(folder.join("chat_template.jinja"), "{{ messages[0].role }}\n").unwrap();
    assert_eq!(answered("tokens", &folder, &lines[..1])[0]["text"], "user");
}

/// What a template makes of a chat of two messages.
fn rendered(template: &str) -> Result<String, String> {
    let chat = Chat {
        others: json!({"enable_thinking": false}).as_object().unwrap().clone(),
        ..Chat::new([("system", "Act."), ("user", " look ")])
    };
    ChatTemplate::parse(template)?.render(&chat, &[("bos_token".into(), "<s>".into())].into())
}

#[test]
fn templates_find_what_transformers_offers_them() {
    for (template, text) in [
        ("{% for m in messages %}\n    {{ m.role }}\n{% endfor %}\n", "    system\n    user\n"),
        (
            "{{ bos_token }}{{ tools }}{{ documents }}{{ add_generation_prompt }}",
            "<s>NoneNoneFalse",
        ),
        ("{% if enable_thinking is defined and not enable_thinking %}off{% endif %}", "off"),
        (
            "{{ messages[-1]['content'].strip() ~ '|' ~ ('a</think>b'.split('</think>')|last) }}",
            "look|b",
        ),
        (
            "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}x{% endfor %}",
            "x",
        ),
        (
            "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
            "2",
        ),
        ("{%- generation %} a {% endgeneration -%} ", " a "),
        (
            "{{ {'a': [1.0, none, true], 'é': '<&>'}|tojson }}",
            r#"{"a": [1.0, null, true], "é": "<&>"}"#,
        ),
        (
            "{{ {'b': 1, 'a': []}|tojson(indent=2, sort_keys=true) }}",
            "{\n  \"a\": [],\n  \"b\": 1\n}",
        ),
        ("{{ '🦀'|tojson(ensure_ascii=true) }}", r#""\ud83e\udd80""#),
        ("{{ [1, 2]|tojson(separators=(',', ':')) }}", "[1,2]"),
        ("{{ strftime_now('%Y')|length }}", "4"),
    ] {
        assert_eq!(rendered(template).as_deref(), Ok(text), "{template}");
    }
}

#[test]
fn members_of_messages_that_are_null_are_left_out() {
    let template =
        ChatTemplate::parse("{{ 'tool_calls' in messages[0] }}{{ messages[0] }}").unwrap();
    let message = json!({"role": "user", "content": "x", "tool_calls": null});
    let chat = Chat { messages: vec![message], ..Chat::default() };
    let text = template.render(&chat, &[].into()).unwrap();
    assert_eq!(text, "False{'role': 'user', 'content': 'x'}");
}

#[test]
fn a_broken_or_hostile_template_is_an_error() {
    for (template, says) in [
        ("{% for m in messages %}", "the chat template is invalid: "),
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{{ messages[0].content.nope.deeper }}", "the chat template fails: undefined value"),
        ("{% include 'secret' %}", "the chat template fails: "),
        (
            "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
            "too much work",
        ),
        ("{% macro f(n) %}{{ f(n + 1) }}{% endmacro %}{{ f(0) }}", "the chat template fails: "),
        ("{{ 'x' * 99999999 }}", "too much work"),
        ("{{ ('x' * 9999)|tojson(indent=9999999) }}", "the chat template fails: "),
        (
            "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
            "too much work",
        ),
        (
            "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|tojson }}",
            "too much work",
        ),
        (
            "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
            "too much work",
        ),
    ] {
        let error = rendered(template).unwrap_err();
        assert!(error.contains(says), "{template}: {error}");
    }
    // Dropping and printing a value takes stack for each level.
    let chain = "{% set ns = namespace(x=[]) %}{% for i in range(90000) %}{% set ns.x = [ns.x] %}{% endfor %}";
    assert_eq!(rendered(&format!("{chain}{{{{ 1 }}}}")).as_deref(), Ok("1"));
    assert!(rendered(&format!("{chain}{{{{ ns.x }}}}")).is_ok_and(|text| text.len() == 180_002));
    assert!(
        rendered(&format!("{chain}{{{{ ns.x|tojson }}}}")).unwrap_err().contains("nested more")
    );
    let deep = format!("{}{}", "{% if 1 %}".repeat(5000), "{% endif %}".repeat(5000));
    assert!(ChatTemplate::parse(&deep).is_err());
    let long = "x".repeat((1 << 20) + 1);
    let error = ChatTemplate::parse(&long).unwrap_err();
    assert!(error.contains("1048577 bytes, expected at most 1048576"), "{error}");
}

#[test]
fn a_template_that_fails_is_refused_with_its_file_or_line() {
    let Some((_kept, folder)) = copied("qwen2") else { return };
    let chat = "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
    let path = folder.join("chat_template.jinja");
    fs::write(&path, "{% for %}").unwrap();
    refused("tokens", &folder, chat, "chat_template.jinja: the chat template is invalid");
    // No unit of work is counted while the two are compared.
    let endless = "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(60) %}\
                   {% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}\
                   {{ ns.x == ns.y }}";
    fs::write(&path, endless).unwrap();
    refused("tokens", &folder, chat, "takes too much work");
    fs::write(&path, "{{ raise_exception('no\nuser') }}").unwrap();
    refused("tokens", &folder, chat, "standard input:1: messages: the chat template fails: ");
    fs::write(
        &path,
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    )
    .unwrap();
    refused("tokens", &folder, chat, "takes too much work");
}
