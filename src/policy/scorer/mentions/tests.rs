//! Tests of the features of mentions.

use super::*;

const GOAL: &str = "find a red wine jacket lower than 30.00 dollars";

fn encode(memory: &mut MentionMemory, observation: &str, actions: &[&str]) -> Vec<Vec<f32>> {
    let mut out = Vec::new();
    memory.encode(observation, &actions.iter().copied().collect(), &mut out);
    out.chunks(MENTION_FEATURES).map(<[f32]>::to_vec).collect()
}

fn memory() -> MentionMemory {
    let json = r#"{"words":["jacket","red","wine","find"],"weights":[2.0,1.0,1.0,0.0]}"#;
    MentionMemory::new(GOAL, &serde_json::from_str(json).unwrap())
}

#[test]
fn the_context_of_an_action_ends_where_the_next_is_named() {
    let page = format!("{GOAL} | B01 | Red jacket | $40.00 | B02 | Jacket | $20");
    let features = encode(&mut memory(), &page, &["click[b01]", "click[b02]", "click[b03]"]);
    assert!(features[0][2] > features[1][2] && features[1][2] > features[2][2]);
    assert_eq!(features[0][3], 0.0);
    assert_eq!([features[0][5], features[1][5], features[2][5]], [-1.0, 1.0, 0.0]);
}

#[test]
fn pairs_of_words_count_where_they_follow_each_other() {
    let actions = ["click[b01]", "click[b02]"];
    let page = "b01 wine and red jacket b02 red wine jacket";
    let features = encode(&mut memory(), page, &actions);
    assert_eq!(features[0][2], features[1][2], "the words are the same");
    assert!(features[0][4] == 0.0 && features[1][4] > 0.0, "{features:?}");
}

#[test]
fn the_goal_names_the_longest_of_several_arguments() {
    let actions = ["click[red]", "click[red wine]", "click[blue]"];
    let mut memory = memory();
    let features = encode(&mut memory, "red red wine blue", &actions);
    assert_eq!([features[0][0], features[1][0], features[2][0]], [0.0, 1.0, 0.0]);
    assert_eq!(features[2][1], 0.0);
    let open = features[0][13];
    memory.acted("click[red wine]");
    let features = encode(&mut memory, "red red wine blue", &actions);
    assert!(features[1][7] == 1.0 && open > features[0][13]);
    encode(&mut memory, "elsewhere", &["go back"]);
    let features = encode(&mut memory, "red red wine blue", &actions);
    assert_eq!((features[1][7], features[0][13]), (0.0, open), "it was not admissible between");
}

#[test]
fn outcomes_are_compared_with_the_best_one_seen() {
    let mut memory = memory();
    let actions = ["click[b01]", "click[b02]"];
    for (action, outcome) in [("click[b01]", "a blue hat, $90"), ("click[b02]", "red jacket, $9")] {
        encode(&mut memory, "b01 b02", &actions);
        memory.acted(action);
        encode(&mut memory, outcome, &["click[buy now]"]);
    }
    let features = encode(&mut memory, "b01 b02", &actions);
    assert!(features[0][10] < 0.0 && features[1][10] == 0.0);
    assert_eq!((features[0][9], features[1][9]), (-1.0, 1.0));
}

#[test]
fn what_an_action_led_to_has_the_words_of_all_its_pages() {
    let mut memory = memory();
    let (results, item) = (["click[b01]", "click[b02]"], ["click[features]", "click[buy now]"]);
    encode(&mut memory, "b01 b02", &results);
    memory.acted("click[b01]");
    let first = encode(&mut memory, "jacket", &item)[0][14];
    memory.acted("click[features]");
    encode(&mut memory, "red wine", &["click[< prev]"]);
    memory.acted("click[< prev]");
    let later = encode(&mut memory, "jacket", &item)[0][14];
    assert!(later > first, "the words of the page of features count");
    memory.acted("click[< prev]");
    encode(&mut memory, "b01 b02", &results);
    memory.acted("click[b02]");
    let other = &encode(&mut memory, "jacket", &item)[0];
    assert!((other[16] - (first - later)).abs() < 1e-6, "{} {first} {later}", other[16]);
}

#[test]
fn an_action_is_marked_as_taken_on_the_pages_of_another_one() {
    let mut memory = memory();
    let (results, item) = (["click[b01]", "click[b02]"], ["click[features]", "click[< prev]"]);
    let mut mark = |taken: &str, page: &str, actions: &[&str]| {
        if !taken.is_empty() {
            memory.acted(taken);
        }
        encode(&mut memory, page, actions)[0][8]
    };
    mark("", "b01 b02", &results);
    assert_eq!(mark("click[b01]", "jacket", &item), 0.0);
    mark("click[features]", "red", &["click[back]"]);
    assert_eq!(mark("click[back]", "jacket", &item), 1.0, "the features of b01 were read");
    assert_eq!(mark("click[< prev]", "b01 b02", &results), 0.0);
    assert_eq!(mark("click[b02]", "jacket", &item), 0.0, "those of b02 were not");
    mark("click[< prev]", "b01 b02", &results);
    assert_eq!(mark("click[b01]", "jacket", &item), 1.0, "b01 remembers");
}

#[test]
fn amounts_are_numbers_with_a_sign_or_a_unit() {
    assert_eq!(
        amounts("$1,250.5 to $3 or 20.00 dollars, 7 apples, $ dollars"),
        [1250.5, 3.0, 20.0]
    );
    assert_eq!(amounts("lower than $30.00 dollars."), [30.0]);
    assert!(amounts("é dollars").is_empty());
}
