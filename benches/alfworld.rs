//! Speed of the native ALFWorld engine: steps with and without texts and over the protocol, starts of
//! episodes, task generation, and loading of games. Loading needs the published games and is skipped
//! without them.

#![allow(missing_docs, reason = "the macros of criterion generate functions without documentation")]

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use proxmo::env::alfworld::{AlfWorld, AlfWorldConfig, Difficulty, GeneratorConfig, generate};
use proxmo::env::protocol::serve;
use proxmo::env::{Environment, Session, Texts};
use proxmo::stream::{Purpose, Stream};
use rand::Rng;

/// Number of tasks.
const TASKS: usize = 100;

fn world() -> AlfWorld {
    let config = GeneratorConfig { difficulty: Difficulty::Hard, ..Default::default() };
    generate(&config, 1, TASKS).expect("the configuration is valid")
}

/// The commands of one random episode of each task.
fn plays(world: &AlfWorld) -> Vec<Vec<String>> {
    let mut rng = Stream::new(1, Purpose::Actions).rng();
    let mut play = |task: usize| {
        let mut session = world.session(task, 0).expect("the task exists");
        let (mut commands, mut texts) = (Vec::new(), Texts::new());
        loop {
            texts.clear();
            session.admissible(&mut texts);
            let command = texts.get(rng.random_range(0..texts.len())).unwrap_or("").to_string();
            let done = session.step(&command).expect("steps of this environment do not fail");
            commands.push(command);
            if done.ended() {
                return commands;
            }
        }
    };
    (0..world.tasks()).map(&mut play).collect()
}

fn steps(criterion: &mut Criterion) {
    let world = world();
    let plays = plays(&world);
    let mut group = criterion.benchmark_group("steps");
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
                    let mut session = world.session(task, 0).expect("the task exists");
                    for command in play {
                        black_box(
                            session.step(command).expect("steps of this environment do not fail"),
                        );
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

/// The requests of 64 clients whose steps alternate, until all tasks have been played, and the number of
/// steps.
fn requests(world: &AlfWorld) -> (Vec<u8>, u64) {
    let plays = plays(world);
    let (mut lines, mut steps) = (String::new(), 0);
    for (group, plays) in plays.chunks(64).enumerate() {
        for session in 0..plays.len() {
            let task = world.task_name(64 * group + session);
            lines += &format!("{{\"op\":\"reset\",\"session\":{session},\"task\":\"{task}\"}}\n");
        }
        for number in 0..world.max_steps() {
            for (session, play) in plays.iter().enumerate() {
                let Some(action) = play.get(number) else { continue };
                lines +=
                    &format!("{{\"op\":\"step\",\"session\":{session},\"action\":\"{action}\"}}\n");
                steps += 1;
            }
        }
    }
    (lines.into_bytes(), steps)
}

fn serving(criterion: &mut Criterion) {
    let world = world();
    let (requests, steps) = requests(&world);
    let mut group = criterion.benchmark_group("serve");
    group.throughput(Throughput::Elements(steps));
    group.bench_function("64 sessions", |bencher| {
        bencher.iter(|| {
            serve(&world, &requests[..], std::io::sink()).expect("writing to a sink cannot fail")
        });
    });
    group.finish();
}

fn episodes(criterion: &mut Criterion) {
    let world = world();
    let mut task = 0;
    criterion.bench_function("start", |bencher| {
        bencher.iter(|| {
            task = (task + 1) % TASKS;
            black_box(world.start(task, 0).expect("the task exists"))
        });
    });
    let mut session = world.session(0, 0).expect("the task exists");
    criterion.bench_function("reset", |bencher| {
        bencher.iter(|| {
            session.reset();
            black_box(&session);
        });
    });
    let config = GeneratorConfig::default();
    criterion.bench_function("generate 100 easy tasks", |bencher| {
        bencher
            .iter(|| black_box(generate(&config, 1, TASKS).expect("the configuration is valid")));
    });
}

fn loading(criterion: &mut Criterion) {
    let shared = std::env::var_os("PROXMO_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    let archive = shared.join("alfworld/json_2.1.1.tar.xz");
    if !archive.exists() {
        println!("load: skipped, {} does not exist", archive.display());
        return;
    }
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    for split in ["valid_seen", "train"] {
        group.bench_function(split, |bencher| {
            bencher.iter(|| {
                AlfWorld::load(&archive, Some(split), AlfWorldConfig::default())
                    .expect("the games are valid")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, steps, serving, episodes, loading);
criterion_main!(benches);
