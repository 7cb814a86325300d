//! `--backend auto`: measured once, remembered, and measured again where it has to be.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use proxmo::device::{Backend, adapters};
use proxmo::env::alfworld::AlfWorldConfig;
use proxmo::env::household::HouseholdConfig;
use proxmo::runs::auto::{Auto, Choice, open_for_training};
use proxmo::train::Config;

/// A run whose updates are as small as they get.
fn config() -> Config {
    let mut config = Config::default();
    let rules = AlfWorldConfig { max_steps: 4, ..AlfWorldConfig::default() };
    config.env = HouseholdConfig { tasks: 4, rules, ..HouseholdConfig::default() }.into();
    config.rollout.groups = 2;
    config.rollout.episodes = 2;
    config.update.minibatch = 16;
    config.policy.embedding = 8;
    config.policy.hidden = 8;
    config
}

/// What is chosen, and what was measured for it.
fn choose(config: &Config, cache: &Path, software: bool) -> (Choice, Vec<Backend>) {
    let environment = config.env.open("train").unwrap();
    let auto = Auto { cache: Some(cache.to_path_buf()), software };
    let measured = RefCell::new(Vec::new());
    let mut observe = |adapter: &proxmo::device::Adapter| {
        measured.borrow_mut().push(adapter.backend);
    };
    let choice = open_for_training(config, &*environment, &auto, &mut observe).unwrap();
    (choice, measured.into_inner())
}

/// Without a Vulkan adapter there is nothing to measure; with `CI` set that fails.
fn vulkan_is_here() -> bool {
    let here = adapters().iter().any(|adapter| adapter.backend == Backend::Vulkan);
    if !here {
        assert!(std::env::var_os("CI").is_none(), "there is no Vulkan adapter to measure");
        eprintln!("skipped: there is no Vulkan adapter here");
    }
    here
}

#[test]
fn candidates_are_measured_once_and_remembered() {
    if !vulkan_is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("proxmo");
    let (first, measured) = choose(&config(), &cache, true);
    assert!(measured.contains(&Backend::Vulkan) && measured.contains(&Backend::Flex));
    assert!(!first.remembered && first.reason.ends_with("(measured now)"), "{}", first.reason);
    for backend in ["flex", "vulkan"] {
        assert!(first.reason.contains(&format!("{backend} ")), "{}", first.reason);
    }
    let times: Vec<f64> =
        first.timed.iter().map(|one| *one.milliseconds.as_ref().unwrap()).collect();
    assert!(times.iter().all(|&time| time > 0.0) && times.len() == measured.len());
    let least = times.iter().copied().fold(f64::INFINITY, f64::min);
    let best = &first.timed[times.iter().position(|&time| time == least).unwrap()];
    assert_eq!(first.opened.adapter, best.adapter);

    let (again, measured) = choose(&config(), &cache, true);
    assert!(measured.is_empty() && again.remembered);
    assert_eq!((again.timed, again.opened.adapter), (first.timed, first.opened.adapter));
    assert!(again.reason.contains("measured by an earlier run"), "{}", again.reason);

    stale_measurements_are_made_again(&cache);
}

/// The file decides, and what does not fit is not believed.
fn stale_measurements_are_made_again(cache: &Path) {
    let mut larger = config();
    larger.policy.hidden = 12;
    let (_, measured) = choose(&larger, cache, true);
    assert!(!measured.is_empty(), "another size was not measured");
    assert!(
        choose(&larger, cache, true).0.remembered && choose(&config(), cache, true).0.remembered
    );

    let file = cache.join("backends.json");
    let whole = fs::read_to_string(&file).unwrap();
    let faster = |backend: &str| {
        let mut entries: serde_json::Value = serde_json::from_str(&whole).unwrap();
        let entry = &mut entries[0];
        let candidates = entry["adapters"].as_array().unwrap().clone();
        for (place, candidate) in candidates.iter().enumerate() {
            let time = if candidate["backend"] == backend { 1.5 } else { 20.0 };
            entry["milliseconds"][place] = time.into();
        }
        fs::write(&file, entries.to_string()).unwrap();
        choose(&config(), cache, true).0
    };
    assert_eq!(faster("vulkan").opened.adapter.backend, Backend::Vulkan);
    let flex = faster("flex");
    assert_eq!(flex.opened.adapter.backend, Backend::Flex);
    assert!(flex.reason.starts_with("flex 1.5 ms an update, vulkan 20.0 ms"), "{}", flex.reason);

    let driver = &adapters()[0].driver;
    fs::write(&file, whole.replace(driver.as_str(), "another driver")).unwrap();
    assert!(!choose(&config(), cache, true).1.is_empty(), "another driver was believed");
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(!choose(&config(), cache, true).1.is_empty(), "a damaged file was believed");
    assert!(choose(&config(), cache, true).0.remembered, "a damaged file was not replaced");
}

#[test]
fn nothing_is_measured_where_there_is_nothing_to_choose() {
    let folder = tempfile::tempdir().unwrap();
    let mut named = config();
    named.run.backend = Backend::Flex;
    let (choice, measured) = choose(&named, folder.path(), true);
    assert_eq!((choice.opened.adapter.backend, choice.reason.as_str()), (Backend::Flex, ""));
    assert!(measured.is_empty());
    if adapters().iter().all(|adapter| !adapter.kind.is_gpu()) {
        let (choice, measured) = choose(&config(), folder.path(), false);
        assert_eq!(choice.opened.adapter.backend, Backend::Flex);
        assert_eq!((choice.reason.as_str(), measured.len()), ("no real GPU here", 0));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
