//! Tests with invalid input: hand-made cases, and random changes to valid input. The fuzz targets in
//! `fuzz/` try more.

#[path = "../../tests/it/support/untrusted/alter.rs"]
mod alter;

use std::ffi::OsString;

use proptest::prelude::*;

use super::*;
use alter::{altered, changes};

/// A problem that uses all features.
const PROBLEM: &str = include_str!("../../fuzz/seeds/pddl/kitchen");

/// Reads a game with a given problem and grammar.
fn read(problem: &str, grammar: &str) -> Result<AlfWorld> {
    read_game(&game_file(problem, grammar))
}

/// Reads the problem with another goal.
fn with_goal(goal: &str) -> Result<AlfWorld> {
    let (before, _) = PROBLEM.split_once("(:goal").unwrap();
    read(&format!("{before}(:goal {goal}))"), GRAMMAR)
}

/// Reads the problem with other rules in its grammar.
fn with_rules(rules: &str) -> Result<AlfWorld> {
    read(PROBLEM, &format!("{GRAMMAR}grammar :: \"\"\" {{ {rules} }} \"\"\";\n"))
}

/// The problem with `count` additional boxes.
fn with_boxes(count: usize) -> String {
    let ids = |format: fn(usize) -> String| (0..count).map(format).collect::<String>();
    PROBLEM
        .replace("unseen - object", &(ids(|id| format!("box_bar_x{id} ")) + "- object"))
        .replace("(:init", &("(:init".to_string() + &ids(|id| format!(" (ison box_bar_x{id})"))))
}

/// Checks that a game is rejected with an error that contains `expected`.
fn assert_rejected(result: Result<AlfWorld>, expected: &str) {
    let error = result.expect_err(expected);
    expect_readable(&error, &[GAME_NAME]);
    let text = error.to_string();
    assert!(text.contains(expected), "{text} does not contain {expected}");
}

#[test]
fn the_unchanged_problem_can_be_played() {
    play(&read(PROBLEM, GRAMMAR).unwrap());
}

#[test]
fn grammars_that_expand_beyond_the_maximum_size_are_rejected() {
    let large = "x".repeat(500_000);
    let many = "#large#".repeat(9_000);
    let rules = format!(r#""intro": [{{"rhs": "{many}"}}], "large": [{{"rhs": "{large}"}}]"#);
    assert_rejected(
        with_rules(&rules),
        "grammar, rule 'large': the expanded grammar has more than",
    );
    // Alternatives and conditions count even if their text is empty.
    let alternatives = vec![r#"{"rhs": "", "condition": "isclean(o:object)"}"#; 10_000].join(",");
    let many = "#wide#".repeat(9_000);
    let rules =
        format!(r#""intro": [{{"rhs": "{many}"}}], "wide": [{alternatives}, {{"rhs": ""}}]"#);
    assert_rejected(with_rules(&rules), "the expanded grammar has more than");
    let grammar = format!("{GRAMMAR}{}", " ".repeat(1 << 20));
    assert_rejected(read(PROBLEM, &grammar), "grammar: expected at most 1048576 bytes");
}

#[test]
fn texts_of_many_pieces_are_rejected_or_playable() {
    let terms = vec!["''"; 200_000].join("+");
    assert_rejected(
        with_rules(&format!(r#""intro": [{{"rhs": "{{{terms}}}"}}]"#)),
        "the expanded grammar has more than",
    );
    let pieces = "#x#".repeat(9_500);
    let rules =
        format!(r#""intro": [{{"rhs": "{pieces}"}}], "x": [{{"rhs": "{}"}}]"#, "x".repeat(100));
    play(&with_rules(&rules).unwrap());
    let terms = vec!["'abcdefgh'"; 40_000].join("+");
    play(&with_rules(&format!(r#""intro": [{{"rhs": "{{{terms}}}"}}]"#)).unwrap());
}

#[test]
fn lists_with_too_many_checks_or_bytes_are_rejected() {
    let boxes = with_boxes(100);
    let with_rules =
        |rules: &str| read(&boxes, &format!("{GRAMMAR}grammar :: \"\"\" {{ {rules} }} \"\"\";"));
    let chain = |count: usize| {
        let one = |n: usize| format!("inreceptacleobject(o{n}:object, o{}:object)", n + 1);
        (0..count).map(one).collect::<Vec<_>>().join(" & ")
    };
    let list = |query: &str| format!(r#""intro": [{{"rhs": "[{{o0.name | {query}}}]"}}]"#);
    play(&with_rules(&list(&chain(2))).unwrap());
    let expected = "grammar, rule 'intro': in this world its text can take more than";
    assert_rejected(with_rules(&list(&chain(3))), expected);
    let choice =
        format!(r#""intro": [{{"rhs": "none", "condition": "{}"}}, {{"rhs": ""}}]"#, chain(4));
    assert_rejected(with_rules(&choice), "20000000 condition checks");
    let long = format!(
        r#""intro": [{{"rhs": "[{{#long# | isclean(o:object) & isclean(p:object)}}]"}}],
        "long": [{{"rhs": "{}"}}]"#,
        "x".repeat(2_000)
    );
    assert_rejected(with_rules(&long), "16777216 bytes");
    // A condition that holds for at most one value counts only once.
    let places =
        "atlocation(a:agent, l:location) & receptacleatlocation(r:receptacle, l2:location)";
    play(
        &with_rules(&format!(
            r#""intro": [{{"rhs": "[{{#long# | {places}}}]"}}],
        "long": [{{"rhs": "{}"}}]"#,
            "x".repeat(50_000)
        ))
        .unwrap(),
    );
}

#[test]
fn goals_with_too_many_tests_are_rejected() {
    let variables = "?a ?b ?c ?d ?e ?f ?g ?h ?i ?j ?k ?l ?m ?n";
    let goal = format!("(exists ({variables} - object) (and (isclean ?a) (ishot ?n)))");
    assert_rejected(with_goal(&goal), "the goal can take more than");
    // Kinds limit the number of values.
    let kinds: Vec<String> =
        variables.split(' ').map(|name| format!("(objecttype {name} knifetype)")).collect();
    let goal = format!("(exists ({variables} - object) (and {}))", kinds.join(" "));
    play(&with_goal(&goal).unwrap());
    assert_rejected(
        with_goal(&format!("(and {})", "(or)".repeat(1_001))),
        "more than 1000 formulas",
    );
    assert_rejected(
        with_goal(&format!("(exists ({} - object) (or))", "?x ".repeat(99))),
        "variables",
    );
}

#[test]
fn problems_with_too_many_or_too_long_ids_are_rejected() {
    let declared = |ids: &str| PROBLEM.replace("unseen - object", &format!("{ids} - object"));
    let many: String = (0..20_000).map(|number| format!("o{number} ")).collect();
    assert_rejected(
        read(&declared(&many), GRAMMAR),
        "pddl_problem, line 4: more than 10000 objects",
    );
    assert_rejected(read(&declared(&"x".repeat(501)), GRAMMAR), "an id has more than 500 bytes");
    read(&declared(&"x".repeat(500)), GRAMMAR).unwrap();
}

#[test]
fn deep_nesting_is_rejected() {
    let deep = 100_000;
    assert_rejected(read_game("[".repeat(deep).as_bytes()), "not a game file");
    assert_rejected(
        read_game(format!("{{\"x\":{}", "[".repeat(deep)).as_bytes()),
        "not a game file",
    );
    let goal = "(and ".repeat(deep) + &")".repeat(deep);
    assert_rejected(with_goal(&goal), "formulas are nested more than");
    assert_rejected(with_rules(&format!(r#""intro": {}"#, "[".repeat(deep))), "grammar, line");
    assert_rejected(read(&"(".repeat(deep), GRAMMAR), "pddl_problem, line 1");
}

const PDDL_PIECES: &[&str] = &[
    "(",
    ")",
    "(and ",
    "(or ",
    "(exists (?x ?y - object) ",
    "(not (= ?o ?o))",
    " - object",
    ";",
    "mug_bar_1",
    "here",
    "(holds ",
    "(opened ",
    "_bar_",
    "basin",
    "?o",
    "(:goal ",
    "(:init ",
];

const GRAMMAR_PIECES: &[&str] = &[
    "#",
    "{",
    "}",
    "[",
    "]",
    "|",
    "\"",
    "\"\"\"",
    "#look#",
    "{o.name}",
    ":object",
    "&",
    "\\n",
    ";",
    "[{o.name | isclean(o:object)}]",
    "inreceptacle(o:object, r:receptacle)",
    "rhs",
    "action ",
    "::",
];

const COMMAND_LINE_WORDS: &[&str] = &[
    "train",
    "clone",
    "eval",
    "compare",
    "report",
    "play",
    "credit",
    "env",
    "serve",
    "list",
    "generate",
    "devices",
    "verify",
    "help",
    "--help",
    "--seed",
    "7",
    "-1",
    "--estimator",
    "grpo",
    "--proximity-temperature",
    "auto",
    "nan",
    "--modulation",
    "{ steepness = 2.0 }",
    "{",
    "--variant",
    "a: --epochs 3",
    "a: --epochs '3",
    "--seeds",
    "3,7",
    "9999999999999999999999",
    "--preset",
    "alfworld",
    "--games",
    "x",
    "--run",
    "--resume",
    "--no-modulation",
    "--base-group",
    "--jobs",
    "--input",
    "-",
    "--",
    "",
    "--count",
    "--out",
    "--like",
    "--modulation-range",
    "--tasks",
    "\u{1b}[2J",
    "=",
    "'",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn changed_problems_are_rejected_or_playable(changes in changes(PDDL_PIECES, 0..40, 1..6)) {
        match read(&altered(PROBLEM, &changes), GRAMMAR) {
            Ok(world) => play(&world),
            Err(error) => expect_readable(&error, &[GAME_NAME]),
        }
    }

    #[test]
    fn changed_grammars_are_rejected_or_playable(changes in changes(GRAMMAR_PIECES, 0..40, 1..6)) {
        match read(PROBLEM, &altered(GRAMMAR, &changes)) {
            Ok(world) => play(&world),
            Err(error) => expect_readable(&error, &[GAME_NAME]),
        }
    }

    #[test]
    fn changed_files_are_rejected_or_playable(changes in changes(GRAMMAR_PIECES, 0..40, 1..6)) {
        let file = String::from_utf8(game_file(PROBLEM, GRAMMAR)).unwrap();
        match read_game(altered(&file, &changes).as_bytes()) {
            Ok(world) => play(&world),
            Err(error) => expect_readable(&error, &[GAME_NAME]),
        }
    }

    #[cfg(feature = "cli")]
    #[test]
    fn command_lines_are_accepted_or_rejected(
        words in proptest::collection::vec(proptest::sample::select(COMMAND_LINE_WORDS), 0..8),
    ) {
        let words: Vec<OsString> =
            std::iter::once("proxmo").chain(words).map(OsString::from).collect();
        if let Err(error) = arguments(&words) {
            expect_readable(&error, &["setting "]);
        }
    }
}

#[cfg(feature = "lm")]
const TOKENIZER: &str = include_str!("../../fuzz/seeds/tokenizer/bytes");

#[cfg(feature = "lm")]
const CHAT_TEMPLATE: &str = include_str!("../../fuzz/seeds/chat_template/roles");

#[cfg(feature = "lm")]
const TOKENIZER_WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "\"",
    ",",
    ":",
    "0",
    "-1",
    "99999999999",
    "null",
    "\"Ġ\"",
    "{\"type\":\"BPE\"}",
];

#[cfg(feature = "lm")]
const TEMPLATE_WORDS: &[&str] = &[
    "{{", "}}", "{%", "%}", "-", "for", "in", "if", "set", "messages", "[::-1]", "|tojson", "('",
    "~", "x",
];

#[cfg(feature = "lm")]
proptest! {
    #[test]
    fn altered_tokenizers_are_used_or_refused(changes in changes(TOKENIZER_WORDS, 0..8, 1..4)) {
        let _ = tokenize(altered(TOKENIZER, &changes).as_bytes(), "go to <|end|> shelf 1");
    }

    #[test]
    fn altered_chat_templates_are_rendered_or_refused(
        changes in changes(TEMPLATE_WORDS, 0..8, 1..6)
    ) {
        let _ = render(&altered(CHAT_TEMPLATE, &changes));
    }
}

#[cfg(feature = "lm")]
#[test]
fn the_unchanged_tokenizer_and_chat_template_can_be_used() {
    tokenize(TOKENIZER.as_bytes(), "go to <|end|> shelf 1").unwrap();
    let text = render(CHAT_TEMPLATE).unwrap();
    assert!(text.ends_with("<|assistant|>"), "{text}");
}
