//! WebShop beside recordings of the original: every observation, list of clickables, reward and prompt
//! of its sessions.

use proxmo::env::webshop::{Flavour, WebShopSession, verl};
use proxmo::env::{Environment, Session, Texts, Transition};
use serde_json::Value;

use super::webshop_parts::is_recorded;
use crate::support::webshop::{Available, Transcript, lines, shop};

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
        assert_eq!(done.reward, step["reward"].as_f64().unwrap() as f32, "{place}");
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
        assert_eq!(f64::from(done.reward), step["reward"], "{place}");
        assert_eq!(done.terminated, step["done"], "{place}");
        assert_eq!(done.success, step["info"]["won"], "{place}");
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
