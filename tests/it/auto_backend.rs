//! `--backend auto`: times are measured once, cached, and measured again when they are out of date.

use std::cell::RefCell;
use std::fs;
use std::path::Path;

use proxmo::device::{Backend, adapters};
use proxmo::device_check::DeviceCheck;
use proxmo::env::alfworld::AlfWorldConfig;
use proxmo::env::household::HouseholdConfig;
use proxmo::policy::scorer::ScorerConfig;
use proxmo::runs::auto::{Auto, DeviceChoice, open_for_training};
use proxmo::train::Config;

/// A run with very small updates.
fn config() -> Config {
    let mut config = Config::default();
    let rules = AlfWorldConfig { max_steps: 4, ..AlfWorldConfig::default() };
    config.env = HouseholdConfig { tasks: 4, rules, ..HouseholdConfig::default() }.into();
    config.rollout.groups = 2;
    config.rollout.group_size = 2;
    config.update.minibatch = 16;
    config.policy = ScorerConfig { embedding: 8, hidden: 8, ..ScorerConfig::default() }.into();
    config
}

/// The choice, and the backends that were measured.
fn choose(config: &Config, cache: &Path, software: bool) -> (DeviceChoice, Vec<Backend>) {
    choose_by(DeviceCheck::default(), config, cache, software)
}

fn choose_by(
    check: DeviceCheck,
    config: &Config,
    cache: &Path,
    software: bool,
) -> (DeviceChoice, Vec<Backend>) {
    let auto = Auto { cache: Some(cache.to_path_buf()), software, check };
    let environment = config.env.open("train").unwrap();
    let measured = RefCell::new(Vec::new());
    let mut observe = |adapter: &proxmo::device::Adapter| {
        measured.borrow_mut().push(adapter.backend);
    };
    let choice = open_for_training(config, &*environment, &auto, &mut observe).unwrap();
    (choice, measured.into_inner())
}

/// Whether there is a Vulkan adapter to measure. With `CI` set, its absence is a failure.
fn has_vulkan() -> bool {
    let here = adapters().iter().any(|adapter| adapter.backend == Backend::Vulkan);
    if !here {
        assert!(std::env::var_os("CI").is_none(), "there is no Vulkan adapter to measure");
        eprintln!("skipped: there is no Vulkan adapter here");
    }
    here
}

#[test]
fn candidates_are_measured_once_and_cached() {
    if !has_vulkan() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("proxmo");
    let (first, measured) = choose(&config(), &cache, true);
    assert!(measured.contains(&Backend::Vulkan) && measured.contains(&Backend::Flex));
    assert!(!first.cached && first.reason.ends_with("(measured now)"), "{}", first.reason);
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
    assert!(measured.is_empty() && again.cached);
    assert_eq!((again.timed, again.opened.adapter), (first.timed, first.opened.adapter));
    assert!(again.reason.contains("measured by an earlier run"), "{}", again.reason);

    outdated_measurements_are_repeated(&cache);
}

/// The cache file decides, and entries that do not match are ignored.
fn outdated_measurements_are_repeated(cache: &Path) {
    let mut larger = config();
    larger.policy = ScorerConfig { embedding: 8, hidden: 12, ..ScorerConfig::default() }.into();
    let (_, measured) = choose(&larger, cache, true);
    assert!(!measured.is_empty(), "another size was not measured");
    assert!(choose(&larger, cache, true).0.cached && choose(&config(), cache, true).0.cached);

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
    assert!(flex.reason.starts_with("flex 1.5 ms per update, vulkan 20.0 ms"), "{}", flex.reason);

    let driver = &adapters()[0].driver;
    fs::write(&file, whole.replace(driver.as_str(), "another driver")).unwrap();
    assert!(!choose(&config(), cache, true).1.is_empty(), "times of another driver were used");
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    assert!(!choose(&config(), cache, true).1.is_empty(), "a malformed file was used");
    assert!(choose(&config(), cache, true).0.cached, "a malformed file was not replaced");
}

#[test]
fn a_gpu_that_computes_wrongly_is_neither_measured_nor_used() {
    if !has_vulkan() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let wrong = DeviceCheck::by(|_| Err("a number is off".into()));
    let expect_flex = |(choice, measured): (DeviceChoice, Vec<Backend>)| {
        assert_eq!((choice.opened.adapter.backend, measured.len()), (Backend::Flex, 0));
        assert_eq!(choice.reason, "this machine has no GPU that computes correctly");
        let refused = choice.refused[0].to_string();
        assert!(
            refused.starts_with("vulkan on ") && refused.contains("computes wrongly: a number")
        );
    };
    expect_flex(choose_by(wrong, &config(), folder.path(), true));

    // Neither is one that was measured before its driver began to fail.
    choose(&config(), folder.path(), true);
    let file = folder.path().join("backends.json");
    let mut entries: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    for time in entries[0]["milliseconds"].as_array_mut().unwrap() {
        *time = 20.0.into();
    }
    entries[0]["milliseconds"][0] = 1.5.into();
    fs::write(&file, entries.to_string()).unwrap();
    let (trusted, _) = choose(&config(), folder.path(), true);
    assert!(trusted.cached && trusted.opened.adapter.backend == Backend::Vulkan);
    expect_flex(choose_by(wrong, &config(), folder.path(), true));

    let mut named = config();
    named.run.backend = Backend::Vulkan;
    let environment = named.env.open("train").unwrap();
    let auto = Auto { check: wrong, ..Auto::default() };
    let error = open_for_training(&named, &*environment, &auto, &mut |_| ()).unwrap_err();
    assert!(error.to_string().contains("computes wrongly: a number is off"), "{error}");
}

#[test]
fn nothing_is_measured_if_there_is_one_candidate() {
    let folder = tempfile::tempdir().unwrap();
    let mut named = config();
    named.run.backend = Backend::Flex;
    let (choice, measured) = choose(&named, folder.path(), true);
    assert_eq!((choice.opened.adapter.backend, choice.reason.as_str()), (Backend::Flex, ""));
    assert!(measured.is_empty());
    if adapters().iter().all(|adapter| !adapter.kind.is_gpu()) {
        let (choice, measured) = choose(&config(), folder.path(), false);
        assert_eq!(choice.opened.adapter.backend, Backend::Flex);
        assert_eq!((choice.reason.as_str(), measured.len()), ("this machine has no real GPU", 0));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}
