//! A WebShop catalogue: the files of items, attributes, human instructions and nouns, with U+001E between
//! them. A valid one is played.
#![no_main]

use libfuzzer_sys::fuzz_target;
use proxmo::env::webshop::{GoalKind, WebShop, WebShopConfig};
use proxmo::env::{Session, Texts};
use proxmo::fuzzing::expect_readable;
use proxmo_fuzz::with_memory_limit;

/// Memory limit for one input. Goals are limited by their number, not by the size of the files.
const MEMORY_LIMIT: usize = 2 << 30;

/// The number of steps that are played.
const STEPS: usize = 12;

fuzz_target!(|bytes: &[u8]| {
    let mut files = bytes.split(|&byte| byte == b'\x1e');
    let items = files.next().unwrap_or_default();
    let attributes = files.next().unwrap_or(b"{}");
    let (human, nouns) = (files.next(), files.next());
    with_memory_limit(MEMORY_LIMIT, || {
        for goals in [GoalKind::Human, GoalKind::Synthetic] {
            let config = WebShopConfig { goals, ..Default::default() };
            match WebShop::from_json(items, attributes, human, nouns, config) {
                Ok(shop) => play(&shop),
                Err(error) => {
                    let places = ["items", "attributes", "human instructions", "nouns"];
                    expect_readable(&error, &[&places[..], &["the catalogue"]].concat());
                }
            }
        }
    });
});

fn play(shop: &WebShop) {
    let mut session = shop.session(0, 0).expect("there is a goal");
    let (mut text, mut actions) = (String::new(), Texts::new());
    let mut searched = format!("search[{}]", session.goal());
    for step in 0..STEPS {
        text.clear();
        actions.clear();
        session.observe(&mut text);
        session.admissible(&mut actions);
        let chosen = (7 * step + text.len()) % actions.len().max(1);
        let action = actions.get(chosen).unwrap_or("search[x]");
        let action = if session.has_search_bar() { searched.as_str() } else { action };
        let done = session.step(action).expect("a step never fails");
        assert!(done.reward.is_finite());
        assert!(session.score().is_none_or(|score| (0.0..=1.0).contains(&score)));
        searched = "search[x]".into();
    }
}
