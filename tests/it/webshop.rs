//! WebShop beside recordings of the original: every observation, list of clickables, reward and prompt
//! of its sessions.

use proxmo::env::protocol::serve;
use proxmo::env::webshop::random::PythonRandom;
use proxmo::env::webshop::{
    Flavour, GoalKind, IndexOrigin, Shopper, WebShop, WebShopConfig, WebShopSession, generate, verl,
};
use proxmo::env::{Environment, Session, Texts, Transition};
use serde_json::{Value, json};

use super::webshop_parts::is_recorded;
use crate::support::shared::shared;
use crate::support::webshop::{Available, Transcript, config, lines, shop, unpacked};

fn observation(session: &WebShopSession) -> String {
    let mut text = String::new();
    session.observe(&mut text);
    text
}

fn available(session: &WebShopSession) -> Available {
    let mut clickables = Texts::new();
    session.clickables(&mut clickables);
    Available {
        has_search_bar: session.has_search_bar(),
        clickables: clickables.iter().map(str::to_string).collect(),
    }
}

fn admissible(session: &WebShopSession) -> Texts {
    let mut texts = Texts::new();
    session.admissible(&mut texts);
    texts
}

fn recorded(value: &Value) -> Available {
    serde_json::from_value(value.clone()).unwrap()
}

/// Plays a recorded session of the original.
fn replay_original(transcript: &Transcript, session: &mut WebShopSession) {
    let check = |session: &WebShopSession, entry: &Value, place: &str| {
        assert_eq!(observation(session), entry["obs"], "{place}");
        assert_eq!(available(session), recorded(&entry["available_actions"]), "{place}");
        let listed = &entry["admissible"];
        assert!(listed.is_null() || verl::list_actions(&admissible(session)) == *listed, "{place}");
    };
    check(session, &transcript.reset, &transcript.id);
    for (number, step) in transcript.steps.iter().enumerate() {
        let place = format!("{}, step {number}: {}", transcript.id, step["action"]);
        if let Some(seed) = step["py_seed"].as_u64() {
            session.seed_random(seed);
        }
        let done = session.step(step["action"].as_str().unwrap()).unwrap();
        check(session, step, &place);
        assert_eq!(done.reward, step["reward"].as_f64().unwrap(), "{place}");
        let score = session.score().unwrap_or(0.0);
        assert!(is_recorded(score, &step["reward"]), "{place}");
        assert_eq!(done.terminated, step["done"], "{place}");
        check_reward_parts(session, step, &done, &place);
    }
}

fn check_reward_parts(session: &WebShopSession, step: &Value, done: &Transition, place: &str) {
    let info = &step["reward_info"];
    if !done.terminated {
        assert!(info.is_null(), "{place}");
        return;
    }
    let parts = session.reward_parts().unwrap();
    assert!(is_recorded(parts.kind, &info["r_type"]), "{place}");
    assert!(is_recorded(parts.title_score, &info["title_score"]), "{place}");
    assert_eq!(parts.price, info["r_price"], "{place}");
    let share = parts.attributes.0 as f64 / parts.attributes.1 as f64;
    assert!(is_recorded(share, &info["r_att"]), "{place}");
}

/// Plays a recorded session of verl-agent's copy, prompts and anchors included.
fn replay_verl(transcript: &Transcript, session: &mut WebShopSession) -> usize {
    let check = |session: &WebShopSession, prompts: &verl::Prompts, entry: &Value, place: &str| {
        assert_eq!(observation(session), entry["raw_obs"], "{place}");
        let available_now = recorded(&entry["info"]["available_actions"]);
        assert_eq!(available(session), available_now, "{place}");
        assert_eq!(session.anchor(), entry["anchor"], "{place}");
        assert_eq!(prompts.anchor(), entry["anchor"], "{place}");
        assert_eq!(prompts.prompt(&admissible(session)), entry["text"], "{place}");
    };
    let mut prompts = verl::Prompts::new(&observation(session));
    check(session, &prompts, &transcript.reset, &transcript.id);
    for (number, step) in transcript.steps.iter().enumerate() {
        let place = format!("{}, step {number}: {}", transcript.id, step["action"]);
        let projected = verl::project(step["response"].as_str().unwrap());
        assert_eq!(projected.action, step["action"], "{place}");
        assert_eq!(u64::from(projected.valid), step["valid"], "{place}");
        let done = session.step(&projected.action).unwrap();
        prompts.push(&projected.action, &observation(session));
        check(session, &prompts, step, &place);
        assert_eq!(done.reward, step["reward"], "{place}");
        assert_eq!(done.terminated, step["done"], "{place}");
        assert_eq!(done.succeeded(), step["info"]["won"], "{place}");
        let score = session.score().unwrap_or(0.0);
        assert!(is_recorded(score, &step["info"]["task_score"]), "{place}");
        check_reward_parts(session, step, &done, &place);
        if done.terminated {
            // What follows is a session with a goal of the recorder's own chance.
            return transcript.steps.len() - number - 1;
        }
    }
    0
}

#[test]
fn sessions_equal_the_recorded_ones_to_the_byte() {
    let Some(transcripts) = lines::<Transcript>("transcripts_public.jsonl.xz") else { return };
    let (mut played, mut left) = (0, 0);
    for transcript in &transcripts {
        let shop = shop(transcript.config()).unwrap();
        assert_eq!(shop.task_name(transcript.session), transcript.session.to_string());
        let mut session = shop.session(transcript.session, 0).unwrap();
        assert_eq!(session.goal(), transcript.goal["instruction_text"], "{}", transcript.id);
        match transcript.flavour {
            Flavour::WebShop => replay_original(transcript, &mut session),
            Flavour::Verl => left += replay_verl(transcript, &mut session),
        }
        played += transcript.steps.len();
    }
    assert_eq!((transcripts.len(), played, left), (216, 2310, 12));
}

#[test]
fn answers_of_the_protocol_carry_what_the_shop_tells_besides() {
    let Some(original) = shop(config(Flavour::WebShop, GoalKind::Human, 42)) else { return };
    let verl = shop(config(Flavour::Verl, GoalKind::Human, 42)).unwrap();
    for (shop, flavour) in [(original, Flavour::WebShop), (verl, Flavour::Verl)] {
        let asin = shop.goal(297).unwrap().asin.to_lowercase();
        let name = shop.goal(297).unwrap().name;
        let actions =
            [format!("search[{name}]"), format!("click[{asin}]"), "click[buy now]".into()];
        let steps = actions.map(|action| json!({"op": "step", "session": 3, "action": action}));
        let mut requests = vec![json!({"op": "reset", "session": 3, "task": "297"})];
        requests.extend(steps);
        let lines: Vec<String> = requests.iter().map(Value::to_string).collect();
        let mut answers = Vec::new();
        serve(&shop, lines.join("\n").as_bytes(), &mut answers).unwrap();
        let answers: Vec<Value> = String::from_utf8(answers)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let [reset, results, item, done] = answers.as_slice() else { panic!("{answers:?}") };
        assert_eq!(reset["task"], "297");
        assert_eq!(reset["clickables"], json!(["search"]));
        assert_eq!(reset["admissible"], json!(["search[<your query>]", "click[search]"]));
        assert_eq!(reset["has_search_bar"], true);
        assert!(reset["score"].is_null());
        assert_eq!(results["clickables"][0], "back to search");
        assert_eq!(results["has_search_bar"], false);
        assert_eq!((&item["score"], &item["reward"]), (&json!(0.0), &json!(0.0)));
        let score = done["score"].as_f64().unwrap();
        assert!(score > 0.0 && done["terminated"] == true);
        match flavour {
            Flavour::WebShop => {
                assert_eq!(done["reward"], done["score"]);
                assert!(reset["anchor"].is_null());
            }
            Flavour::Verl => {
                assert_eq!(done["reward"], if score == 1.0 { 10.0 } else { 0.0 });
                assert_eq!(reset["anchor"], "'Search'");
                assert_eq!(done["anchor"], done["observation"]);
            }
        }
    }
}

#[test]
fn splits_are_the_first_500_goals_and_the_rest_under_their_own_numbers() {
    let Some(shop) = shop(WebShopConfig::default()) else { return };
    let sizes = |shop: &WebShop| -> Vec<(String, u64)> {
        shop.splits().into_iter().map(|split| (split.name, split.tasks)).collect()
    };
    assert_eq!(sizes(&shop), [("valid".into(), 500), ("train".into(), 559)]);
    let valid = shop.clone().with_split(Some("valid")).unwrap();
    let train = shop.clone().with_split(Some("train")).unwrap();
    assert_eq!(
        (sizes(&valid), sizes(&train)),
        (vec![("valid".into(), 500)], vec![("train".into(), 559)])
    );
    assert_eq!(
        (train.task_name(0), train.task_name(558), train.task_name(559)),
        ("500", "1058", "")
    );
    let goal = shop.goal(500).unwrap().instruction_text;
    assert_eq!(train.session(0, 0).unwrap().goal(), goal);
    assert!(train.session(559, 0).is_err());
    shop.clone().with_split(Some("test")).unwrap_err();
    let kinds = shop.kinds();
    assert!((0..shop.tasks()).any(|task| kinds[shop.task_kind(task)] == "beauty"));
}

#[test]
fn episodes_end_at_the_step_limit_and_typed_searches_are_valid() {
    let Some(shop) = shop(WebShopConfig { max_steps: 3, ..Default::default() }) else { return };
    let mut session = shop.session(0, 0).unwrap();
    let valid = |session: &mut WebShopSession, action: &str| session.step(action).unwrap().valid;
    assert!(valid(&mut session, "search[red shoes]"));
    assert!(!valid(&mut session, "click[nothing like it]"));
    let last = session.step("look").unwrap();
    assert!(last.truncated && !last.terminated && !last.valid);
    // The original answers a search on every page, and none of these does anything on the first page.
    let mut session = shop.session(0, 0).unwrap();
    assert!(valid(&mut session, "click[search]") && session.has_search_bar());
    assert!(!valid(&mut session, "click[buy now]"));
    assert!(valid(&mut session, "search[shoes]"));
}

#[test]
fn the_index_is_saved_beside_the_catalogue_and_made_anew_when_it_is_stale() {
    let Some(folder) = shared("webshop/catalogue") else { return };
    let copy = tempfile::tempdir().unwrap();
    for name in ["items_shuffle_1000", "items_ins_v2_1000", "items_human_ins"] {
        let name = format!("{name}.json.xz");
        std::fs::copy(folder.join(&name), copy.path().join(&name)).unwrap();
    }
    let load =
        || WebShop::load_saving_from(copy.path(), None, WebShopConfig::default(), 100).unwrap();
    let queries = ["red shoes", "tea tree conditioner", "100"];
    let search = |shop: &WebShop| -> Vec<Vec<(String, f32)>> {
        let own = |(asin, score): (&str, f32)| (asin.to_string(), score);
        queries.iter().map(|query| shop.search(query).into_iter().map(own).collect()).collect()
    };
    let first = load();
    assert_eq!(first.index_origin(), IndexOrigin::Saved);
    let second = load();
    assert_eq!(second.index_origin(), IndexOrigin::Loaded);
    assert_eq!(search(&first), search(&second));
    let index = copy.path().join("items_shuffle_1000.json.xz.index");
    let mut bytes = std::fs::read(&index).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&index, &bytes).unwrap();
    assert_eq!(load().index_origin(), IndexOrigin::Saved, "a corrupt index is made anew");
    // Another catalogue under the same name.
    let items = copy.path().join("items_shuffle_1000.json.xz");
    let text = unpacked("catalogue/items_shuffle_1000.json.xz").unwrap();
    std::fs::remove_file(&items).unwrap();
    std::fs::rename(&index, copy.path().join("items_shuffle_1000.json.index")).unwrap();
    std::fs::write(copy.path().join("items_shuffle_1000.json"), text.replace("Shoes", "Boots"))
        .unwrap();
    assert_eq!(load().index_origin(), IndexOrigin::Saved, "a stale index is made anew");
    assert_eq!(load().index_origin(), IndexOrigin::Loaded);
    // A folder stands where the file should be written.
    let index = copy.path().join("items_shuffle_1000.json.index");
    std::fs::remove_file(&index).unwrap();
    std::fs::create_dir(&index).unwrap();
    assert_eq!(load().index_origin(), IndexOrigin::Built);
}

/// The mean score and the share of full scores over the held-out goals, 15 steps each.
fn play_held_out(
    shop: &WebShop,
    mut player: impl FnMut(&str) -> Box<dyn FnMut(&str, &Texts) -> String>,
) -> (f64, f64) {
    let (mut scores, mut wins) = (0.0, 0.0);
    let (mut text, mut clickables) = (String::new(), Texts::new());
    for task in 0..shop.tasks() {
        let mut session = shop.session(task, 0).unwrap();
        let mut act = player(session.goal());
        loop {
            text.clear();
            clickables.clear();
            session.observe(&mut text);
            session.clickables(&mut clickables);
            let done = session.step(&act(&text, &clickables)).unwrap();
            scores += session.score().unwrap_or(0.0);
            wins += f64::from(u8::from(done.succeeded()));
            if done.ended() {
                break;
            }
        }
    }
    (scores / shop.tasks() as f64, wins / shop.tasks() as f64)
}

#[test]
fn a_shopper_with_rules_scores_far_above_random_play() {
    let generated = generate(2000, WebShopConfig::default()).unwrap();
    compare_with_random_play(generated, 0.8, 0.5);
    let Some(shop) = shop(WebShopConfig::default()) else { return };
    compare_with_random_play(shop, 0.75, 0.5);
}

fn compare_with_random_play(shop: WebShop, score: f64, success: f64) {
    let valid = shop.with_split(Some("valid")).unwrap();
    let by_rules = play_held_out(&valid, |goal| {
        let mut shopper = Shopper::new(goal);
        Box::new(move |text, clickables| shopper.act(text, clickables))
    });
    let mut random = PythonRandom::new(1);
    let by_chance = play_held_out(&valid, |goal| {
        let mut random = PythonRandom::new(random.below(1 << 30) as u64);
        let goal = goal.to_string();
        Box::new(move |_, clickables| match clickables.len() {
            1 => format!("search[{goal}]"),
            count => format!("click[{}]", clickables.get(random.below(count)).unwrap()),
        })
    });
    println!("by rules: score {:.3}, success {:.3}", by_rules.0, by_rules.1);
    println!("by chance: score {:.3}, success {:.3}", by_chance.0, by_chance.1);
    assert!(by_rules.0 > score && by_rules.1 > success, "{by_rules:?}");
    assert!(by_chance.0 < by_rules.0 / 2.0, "{by_chance:?}");
}
