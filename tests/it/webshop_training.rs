//! WebShop for policies that choose from a list: proposed searches, the expert, cloning and training.

use assert_cmd::Command;
use proxmo::env::webshop::{GoalKind, WebShop, WebShopConfig, generate};
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

/// Buys the product of a task with the values that its instruction names, and returns the score.
fn score_of_a_sound_purchase(shop: &dyn Environment, asin: &str, task: usize) -> f64 {
    let mut session = shop.start(task, 0).unwrap();
    let goal = session.goal().to_string();
    // The shop sells 200 products, so pages of all that are of its kind are turned until it is found.
    session.step(&format!("search[{goal}]")).unwrap();
    let link = format!("click[{}]", asin.to_lowercase());
    let is_shown = |session: &dyn Session| texts(|out| session.admissible(out)).contains(&link);
    // A search finds at most 50 products, on five pages.
    for _ in 0..5 {
        if !is_shown(&*session) {
            session.step("click[next >]").unwrap();
        }
    }
    assert!(is_shown(&*session), "{goal}: {asin} was not found");
    session.step(&link).unwrap();
    let mut named: Vec<String> = texts(|out| session.admissible(out));
    named.retain(|action| {
        let value = &action["click[".len()..action.len() - 1];
        goal.contains(&format!(" {value},")) || goal.contains(&format!(" {value} "))
    });
    // The longest value of those within each other is chosen last, so it counts.
    named.sort_by_key(String::len);
    for action in named {
        session.step(&action).unwrap();
    }
    let last = session.step("click[buy now]").unwrap();
    last.score.unwrap()
}

#[test]
fn a_variation_asks_for_other_values_of_the_same_product() {
    let shop = generate(200, WebShopConfig { max_steps: 100, ..WebShopConfig::default() }).unwrap();
    let varied = [1, 1, 2].map(|seed| shop.varied(seed).unwrap());
    let goal = |shop: &dyn Environment, task| shop.start(task, 0).unwrap().goal().to_string();
    let (mut others, mut wins) = (0, 0);
    for task in 0..100 {
        let [first, same, other] = [0, 1, 2].map(|index| goal(&*varied[index], task));
        assert_eq!(first, same);
        assert_eq!(varied[0].task_name(task), shop.task_name(task));
        others += usize::from(first != goal(&shop, task) && first != other);
        let asin = shop.goal(task).unwrap().asin;
        wins += usize::from(score_of_a_sound_purchase(&*varied[0], asin, task) == 1.0);
    }
    assert!(others > 80, "{others} of 100 differ");
    assert!(wins > 95, "{wins} of 100 are won by buying their product");
    let synthetic = WebShopConfig { goals: GoalKind::Synthetic, ..WebShopConfig::default() };
    assert!(generate(50, synthetic).unwrap().varied(1).is_none());
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
