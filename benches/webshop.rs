//! Speed of WebShop: steps with and without texts, episodes begun, searches, loading. Needs the generated
//! catalogue beside the repository; without it nothing is measured.

#![allow(missing_docs, reason = "criterion's macros write functions without them")]

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use proxmo::env::webshop::{WebShop, WebShopConfig};
use proxmo::env::{Environment, Session, Texts};
use proxmo::stream::{Purpose, Stream};
use rand::Rng;

/// How many tasks are played, and how many steps of each.
const TASKS: usize = 100;
const STEPS: usize = 15;

fn catalogue() -> Option<PathBuf> {
    let shared = std::env::var_os("PROXMO_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let folder = shared.join("webshop/catalogue");
    if folder.exists() {
        return Some(folder);
    }
    println!("skipped: {} is not there", folder.display());
    None
}

fn load(folder: &Path) -> WebShop {
    WebShop::load(folder, None, WebShopConfig::default()).expect("the catalogue is sound")
}

/// A walk at random, as the original's speed was measured: a fifth of the steps are searches for words of
/// the instruction, the others click on what there is.
fn plays(shop: &WebShop) -> Vec<Vec<String>> {
    let mut rng = Stream::new(1, Purpose::Actions).rng();
    let mut play = |task: usize| {
        let mut session = shop.session(task, 0).expect("the task exists");
        let words: Vec<String> = session.goal().split(' ').map(str::to_string).collect();
        let (mut actions, mut clickables) = (Vec::new(), Texts::new());
        while actions.len() < STEPS {
            clickables.clear();
            session.clickables(&mut clickables);
            let action = if session.has_search_bar() || rng.random_range(0..5) == 0 {
                let first = rng.random_range(0..words.len());
                let last = (first + rng.random_range(1..8)).min(words.len());
                format!("search[{}]", words[first..last].join(" "))
            } else {
                let chosen = rng.random_range(0..clickables.len());
                format!("click[{}]", clickables.get(chosen).unwrap_or_default())
            };
            let done = session.step(&action).expect("steps do not fail");
            actions.push(action);
            if done.ended() {
                break;
            }
        }
        actions
    };
    (0..TASKS).map(&mut play).collect()
}

fn steps(criterion: &mut Criterion) {
    let Some(folder) = catalogue() else { return };
    let shop = load(&folder);
    let plays = plays(&shop);
    let mut group = criterion.benchmark_group("webshop steps");
    group.throughput(Throughput::Elements(plays.iter().map(|play| play.len() as u64).sum()));
    let (mut text, mut texts) = (String::new(), Texts::new());
    for (name, observes, lists) in [
        ("no texts", false, false),
        ("observations", true, false),
        ("observations and admissible actions", true, true),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for (task, play) in plays.iter().enumerate() {
                    let mut session = shop.session(task, 0).expect("the task exists");
                    for action in play {
                        black_box(session.step(action).expect("steps do not fail"));
                        if observes {
                            text.clear();
                            session.observe(&mut text);
                        }
                        if lists {
                            texts.clear();
                            session.admissible(&mut texts);
                        }
                        black_box((&text, &texts));
                    }
                }
            });
        });
    }
    group.finish();
}

fn parts(criterion: &mut Criterion) {
    let Some(folder) = catalogue() else { return };
    let shop = load(&folder);
    let mut task = 0;
    criterion.bench_function("webshop start", |bencher| {
        bencher.iter(|| {
            task = (task + 1) % TASKS;
            black_box(shop.start(task, 0).expect("the task exists"))
        });
    });
    criterion.bench_function("webshop search for 8 words", |bencher| {
        bencher.iter(|| black_box(shop.search("premium tea tree conditioner in rose for women")));
    });
    let mut group = criterion.benchmark_group("webshop load");
    group.sample_size(10);
    group.bench_function("1008 products, packed", |bencher| bencher.iter(|| load(&folder)));
    group.finish();
}

criterion_group!(benches, steps, parts);
criterion_main!(benches);
