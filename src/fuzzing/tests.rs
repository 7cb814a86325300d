//! Bad input, as far as it is tried with every run of the tests: files with a purpose, and files of
//! chance. `fuzz/` tries more of them.

#[path = "../../tests/it/support/untrusted/alter.rs"]
mod alter;

use std::ffi::OsString;

use proptest::prelude::*;

use super::*;
use alter::{altered, changes};

/// A house with a bit of everything.
const HOUSE: &str = include_str!("../../fuzz/seeds/pddl/kitchen");

fn read(problem: &str, grammar: &str) -> Result<AlfWorld> {
    game(&game_file(problem, grammar))
}

/// What is said of the house with another goal.
fn with_goal(goal: &str) -> Result<AlfWorld> {
    let (before, _) = HOUSE.split_once("(:goal").unwrap();
    read(&format!("{before}(:goal {goal}))"), GRAMMAR)
}

/// What is said of the house with other rules.
fn with_rules(rules: &str) -> Result<AlfWorld> {
    read(HOUSE, &format!("{GRAMMAR}grammar :: \"\"\" {{ {rules} }} \"\"\";\n"))
}

/// The house with so many more boxes in it.
fn with_boxes(count: usize) -> String {
    let ids = |format: fn(usize) -> String| (0..count).map(format).collect::<String>();
    HOUSE
        .replace("unseen - object", &(ids(|id| format!("box_bar_x{id} ")) + "- object"))
        .replace("(:init", &("(:init".to_string() + &ids(|id| format!(" (ison box_bar_x{id})"))))
}

fn refused(result: Result<AlfWorld>, expected: &str) {
    let error = result.expect_err(expected);
    expect_readable(&error, &[GAME]);
    let text = error.to_string();
    assert!(text.contains(expected), "{text} does not say {expected}");
}

#[test]
fn the_house_itself_is_played() {
    play(&read(HOUSE, GRAMMAR).unwrap());
}

#[test]
fn texts_that_multiply_are_refused_before_they_are_written_out() {
    let large = "x".repeat(500_000);
    let many = "#large#".repeat(9_000);
    let rules = format!(r#""intro": [{{"rhs": "{many}"}}], "large": [{{"rhs": "{large}"}}]"#);
    refused(with_rules(&rules), "grammar, rule 'large': the grammar takes more than");
    // Alternatives and conditions cost something even where no text comes of them.
    let alternatives = vec![r#"{"rhs": "", "condition": "isclean(o:object)"}"#; 10_000].join(",");
    let many = "#wide#".repeat(9_000);
    let rules =
        format!(r#""intro": [{{"rhs": "{many}"}}], "wide": [{alternatives}, {{"rhs": ""}}]"#);
    refused(with_rules(&rules), "the grammar takes more than");
    let grammar = format!("{GRAMMAR}{}", " ".repeat(1 << 20));
    refused(read(HOUSE, &grammar), "grammar: expected at most 1048576 bytes");
}

#[test]
fn texts_of_many_pieces_are_put_together_in_time() {
    let begun = std::time::Instant::now();
    let terms = vec!["''"; 200_000].join("+");
    refused(with_rules(&format!(r#""intro": [{{"rhs": "{{{terms}}}"}}]"#)), "takes more than");
    // Each piece must not copy those before it.
    let pieces = "#x#".repeat(9_500);
    let rules =
        format!(r#""intro": [{{"rhs": "{pieces}"}}], "x": [{{"rhs": "{}"}}]"#, "x".repeat(100));
    play(&with_rules(&rules).unwrap());
    let terms = vec!["'abcdefgh'"; 40_000].join("+");
    play(&with_rules(&format!(r#""intro": [{{"rhs": "{{{terms}}}"}}]"#)).unwrap());
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn lists_that_take_too_long_or_get_too_long_are_refused() {
    let boxes = with_boxes(100);
    let with_rules =
        |rules: &str| read(&boxes, &format!("{GRAMMAR}grammar :: \"\"\" {{ {rules} }} \"\"\";"));
    let chain = |count: usize| {
        let one = |n: usize| format!("inreceptacleobject(o{n}:object, o{}:object)", n + 1);
        (0..count).map(one).collect::<Vec<_>>().join(" & ")
    };
    let list = |query: &str| format!(r#""intro": [{{"rhs": "[{{o0.name | {query}}}]"}}]"#);
    play(&with_rules(&list(&chain(2))).unwrap());
    let expected = "grammar, rule 'intro': in this world its text can come to more than";
    refused(with_rules(&list(&chain(3))), expected);
    let choice =
        format!(r#""intro": [{{"rhs": "none", "condition": "{}"}}, {{"rhs": ""}}]"#, chain(4));
    refused(with_rules(&choice), "20000000 conditions to look at");
    let long = format!(
        r#""intro": [{{"rhs": "[{{#long# | isclean(o:object) & isclean(p:object)}}]"}}],
        "long": [{{"rhs": "{}"}}]"#,
        "x".repeat(2_000)
    );
    refused(with_rules(&long), "16777216 bytes");
    // Where there can be but one answer, others are not counted.
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
fn goals_that_take_too_long_to_check_are_refused() {
    let variables = "?a ?b ?c ?d ?e ?f ?g ?h ?i ?j ?k ?l ?m ?n";
    let goal = format!("(exists ({variables} - object) (and (isclean ?a) (ishot ?n)))");
    refused(with_goal(&goal), "the goal can take more than");
    // Of a kind there are few, whatever else there is.
    let kinds: Vec<String> =
        variables.split(' ').map(|name| format!("(objecttype {name} knifetype)")).collect();
    let goal = format!("(exists ({variables} - object) (and {}))", kinds.join(" "));
    play(&with_goal(&goal).unwrap());
    refused(with_goal(&format!("(and {})", "(or)".repeat(1_001))), "more than 1000 formulas");
    refused(with_goal(&format!("(exists ({} - object) (or))", "?x ".repeat(99))), "variables");
}

#[test]
fn worlds_beyond_all_measure_are_refused() {
    let declared = |ids: &str| HOUSE.replace("unseen - object", &format!("{ids} - object"));
    let many: String = (0..20_000).map(|number| format!("o{number} ")).collect();
    refused(read(&declared(&many), GRAMMAR), "pddl_problem, line 4: more than 10000 objects");
    refused(read(&declared(&"x".repeat(501)), GRAMMAR), "an id has more than 500 bytes");
    read(&declared(&"x".repeat(500)), GRAMMAR).unwrap();
}

#[test]
fn what_is_nested_deeply_is_refused() {
    let deep = 100_000;
    refused(game("[".repeat(deep).as_bytes()), "not a game");
    refused(game(format!("{{\"x\":{}", "[".repeat(deep)).as_bytes()), "not a game");
    let goal = "(and ".repeat(deep) + &")".repeat(deep);
    refused(with_goal(&goal), "formulas inside each other");
    refused(with_rules(&format!(r#""intro": {}"#, "[".repeat(deep))), "grammar, line");
    refused(read(&"(".repeat(deep), GRAMMAR), "pddl_problem, line 1");
}

const PDDL: &[&str] = &[
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

const TEXTS: &[&str] = &[
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

const WORDS: &[&str] = &[
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
    fn altered_problems_are_refused_or_played(changes in changes(PDDL, 0..40, 1..6)) {
        match read(&altered(HOUSE, &changes), GRAMMAR) {
            Ok(world) => play(&world),
            Err(error) => expect_readable(&error, &[GAME]),
        }
    }

    #[test]
    fn altered_grammars_are_refused_or_played(changes in changes(TEXTS, 0..40, 1..6)) {
        match read(HOUSE, &altered(GRAMMAR, &changes)) {
            Ok(world) => play(&world),
            Err(error) => expect_readable(&error, &[GAME]),
        }
    }

    #[test]
    fn altered_files_are_refused_or_played(changes in changes(TEXTS, 0..40, 1..6)) {
        let file = String::from_utf8(game_file(HOUSE, GRAMMAR)).unwrap();
        match game(altered(&file, &changes).as_bytes()) {
            Ok(world) => play(&world),
            Err(error) => expect_readable(&error, &[GAME]),
        }
    }

    #[cfg(feature = "cli")]
    #[test]
    fn command_lines_are_understood_or_refused(
        words in proptest::collection::vec(proptest::sample::select(WORDS), 0..8),
    ) {
        let words: Vec<OsString> =
            std::iter::once("proxmo").chain(words).map(OsString::from).collect();
        if let Err(error) = arguments(&words) {
            expect_readable(&error, &["setting "]);
        }
    }
}
