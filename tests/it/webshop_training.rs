//! WebShop for policies that choose from a list: proposed searches, the expert, cloning and training.

use assert_cmd::Command;
use proxmo::env::webshop::{WebShop, WebShopConfig, generate};
use proxmo::env::{Environment, Session, Texts};
use proxmo::policy::scorer::{MENTION_FEATURES, ScorerEncoder, Vocabulary};
use proxmo::rollout::replay;
use proxmo::runs::demonstrations;
use proxmo::train::ImitationConfig;
use serde_json::Value;

fn small_shop() -> WebShop {
    generate(200, WebShopConfig::default()).unwrap().with_split(Some("train")).unwrap()
}

fn texts(write: impl Fn(&mut Texts)) -> Vec<String> {
    let mut texts = Texts::new();
    write(&mut texts);
    texts.iter().map(str::to_string).collect()
}

#[test]
fn the_slot_of_a_search_is_filled_by_searches_that_the_instruction_suggests() {
    let shop = small_shop();
    for task in 0..20 {
        let session = shop.session(task, 0).unwrap();
        let admissible = texts(|out| session.admissible(out));
        assert_eq!(admissible, ["search[<your query>]", "click[search]"]);
        let choices = texts(|out| session.choices(out));
        assert!(!choices.is_empty());
        for choice in &choices {
            let query = choice.strip_prefix("search[").unwrap().strip_suffix(']').unwrap();
            let goal = session.goal().to_lowercase();
            assert!(query.split(' ').all(|word| goal.contains(word)), "{query}: {goal}");
            let mut session = session.clone();
            assert!(session.step(choice).unwrap().valid);
            assert_eq!(texts(|out| session.choices(out)), texts(|out| session.admissible(out)));
        }
    }
}

#[test]
fn the_expert_of_the_shop_gives_demonstrations_that_can_be_replayed() {
    let shop = small_shop();
    let config = ImitationConfig { from: "expert".into(), tasks: 60, ..ImitationConfig::default() };
    let found = demonstrations(&shop, &config, 0, 0, &mut |_| {}).unwrap();
    assert!(found.list.len() >= 15, "the expert wins {} of 60", found.list.len());
    let vocabulary = Vocabulary::from_environment(&shop, 50, 100, 0).unwrap();
    let max_steps = shop.max_steps();
    for mentions in [false, true] {
        let encoder = ScorerEncoder { vocabulary: vocabulary.clone(), max_steps, mentions };
        let batch = replay(&shop, &encoder, &found.list, 0).unwrap();
        assert!(batch.data.success().iter().all(|&won| won));
        let width = if mentions { MENTION_FEATURES } else { 0 };
        assert_eq!(batch.inputs.mentions.len(), width * batch.inputs.actions.len());
        assert!(batch.inputs.mentions.iter().all(|value| value.is_finite()));
    }
}

/// The success on held-out tasks before and after some iterations.
fn learns(arguments: &str) -> (f64, f64) {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.args(arguments.split(' ')).arg("--run").arg(&run).assert().success();
    let lines = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let held_out: Vec<f64> =
        lines.filter_map(|line| line["evaluation"]["success"].as_f64()).collect();
    (held_out[0], *held_out.last().unwrap())
}

#[test]
fn a_scorer_learns_the_generated_shop_from_its_expert() {
    let (before, after) = learns(
        "clone --env webshop --flavour webshop --mentions --max-words 100 --iterations 8 \
         --eval-every 8",
    );
    assert!(before < 0.1 && after > 0.2, "{before} {after}");
}

#[test]
fn a_scorer_learns_the_generated_shop_from_scratch() {
    let (before, after) = learns("train --preset webshop --iterations 150 --eval-every 150");
    assert!(before < 0.1 && after > 0.2, "{before} {after}");
}
