//! Tests of the native ALFWorld engine, against transcripts of the original engine and on their own.
//!
//! Most tests need the published games, which are not in this repository. The tests read them from
//! `../shared/alfworld` or from the folder `alfworld` in `PROXMO_SHARED`. Without the games the tests
//! print that they are skipped, or fail if `CI` is set.

use std::collections::BTreeSet;

use crate::support::alfworld::{
    admissible, archive, game_file, games, observation, put_game, task, transcripts,
};
use proptest::prelude::*;
use proxmo::env::alfworld::{
    AlfWorld, AlfWorldConfig, AlfWorldSession, Difficulty, GeneratorConfig, TaskMix, generate,
    write_games,
};
use proxmo::env::{Environment, Session, Texts};
use proxmo::error::Error;

/// Plays the walkthrough of a task. All commands must be admissible and only the last reaches the goal.
fn play_walkthrough(world: &AlfWorld, task: usize) {
    let mut session = world.session(task, 0).unwrap();
    let walkthrough = world.walkthrough(task);
    assert!(!walkthrough.is_empty(), "{} has no walkthrough", world.task_name(task));
    for (number, command) in walkthrough.iter().enumerate() {
        let place = format!("{}, command {number}: {command}", world.task_name(task));
        let done = session.step(command).unwrap();
        assert!(done.valid, "{place} is not admissible");
        assert_eq!(done.succeeded(), number + 1 == walkthrough.len(), "{place}");
    }
}

#[test]
fn the_engine_reproduces_transcripts_of_the_original_exactly() {
    let (Some(world), Some(transcripts)) = (games(), transcripts()) else { return };
    assert_eq!(transcripts.len(), 212);
    for transcript in transcripts {
        let mut session = world.session(task(world, &transcript.game), 0).unwrap();
        let mut before: Vec<String> = Vec::new();
        for (number, entry) in transcript.steps.iter().enumerate() {
            let place = format!(
                "{} ({}), step {number}: {:?}",
                transcript.game, transcript.kind, entry.cmd
            );
            if number > 0 {
                let done = session.step(&entry.cmd).unwrap();
                assert_eq!(done.succeeded(), entry.won, "{place}");
                assert_eq!(done.terminated, entry.done, "{place}");
                assert_eq!(u8::from(done.succeeded()), entry.score, "{place}");
                assert_eq!(done.valid, before.contains(&entry.cmd.trim().to_string()), "{place}");
            }
            assert_eq!(observation(&session), entry.obs, "{place}");
            before = admissible(&session);
            assert_eq!(before, entry.adm, "{place}");
        }
    }
}

#[test]
fn published_walkthroughs_reach_the_goal_with_the_last_command() {
    let Some(world) = games() else { return };
    assert_eq!(world.tasks(), 4027);
    let mut kinds = [0; 6];
    for task in 0..world.tasks() {
        play_walkthrough(world, task);
        kinds[world.task_kind(task)] += 1;
    }
    assert_eq!(world.kinds(), ["Pick", "Look", "Clean", "Heat", "Cool", "Pick2"]);
    assert_eq!(kinds, [895, 358, 745, 523, 607, 899]);
}

#[test]
fn commands_are_parsed_like_in_the_original() {
    let Some(world) = games() else { return };
    let mut session = world.session(0, 0).unwrap();
    for (command, valid) in [
        ("  look \n", true),
        ("\x1flook", true),
        ("Look", false),
        ("look around", false),
        ("", false),
        ("go  to desk 1", false),
        ("go to", false),
    ] {
        assert_eq!(session.step(command).unwrap().valid, valid, "{command:?}");
    }
    let goal = session.goal().to_string();
    session.reset();
    assert!(observation(&session).ends_with(&format!(": {goal}")), "{goal}");
}

#[test]
fn step_limit_and_rewards_follow_the_settings() {
    let config = AlfWorldConfig { max_steps: 3, success_reward: 10.0, step_reward: -0.5 };
    let world = generate(&GeneratorConfig::default(), 5, 50).unwrap().with_config(config);
    let task = (0..50).find(|&task| world.walkthrough(task).len() == 4).unwrap();
    let walkthrough = world.walkthrough(task);
    let mut session = world.session(task, 0).unwrap();
    let steps: Vec<_> = walkthrough.iter().map(|c| session.step(c).unwrap()).collect();
    assert_eq!(steps.iter().map(|s| s.reward).collect::<Vec<_>>(), [-0.5, -0.5, -0.5, 9.5]);
    assert_eq!(steps.iter().map(|s| s.truncated).collect::<Vec<_>>(), [false, false, true, false]);
    assert!(steps[3].terminated && steps[3].succeeded());
    // The success reward is given once.
    assert_eq!(session.step("look").unwrap().reward, -0.5);

    let nothing = AlfWorldConfig { max_steps: 0, ..Default::default() };
    assert!(
        matches!(nothing.validate(), Err(Error::Setting { key, .. }) if key == "env.max_steps")
    );
}

/// The error from loading a folder with one game file.
fn failure(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    put_game(folder.path(), "train/some-task/trial_1", text);
    AlfWorld::load(folder.path(), None, AlfWorldConfig::default()).unwrap_err().to_string()
}

#[test]
fn errors_in_game_files_name_the_file_and_the_cause() {
    let Some(text) = game_file() else { return };
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let changed = |field: &str, part: &str, other: &str| {
        let content = file[field].as_str().unwrap();
        assert!(content.contains(part), "{field} has no {part}");
        let mut file = file.clone();
        file[field] = content.replacen(part, other, 1).into();
        failure(&file.to_string())
    };
    let (domain, grammar, problem) = ("pddl_domain", "grammar", "pddl_problem");
    let cases = [
        (failure(&text[..5000]), "not a game file: EOF while parsing a string at line 1 column"),
        (failure("{}"), "not a game file: missing field `pddl_domain`"),
        (changed(domain, "(holds ?a ?o)", "(has ?a ?o)"), "unknown predicate 'has'"),
        (changed(grammar, "#look.feedback#", "#see#"), "unknown rule 'see'"),
        (changed(grammar, "{r.name}", "{r.colour}"), "unknown attribute 'r.colour'"),
        (changed(grammar, "openable(r:", "locked(r:"), "unknown condition 'locked'"),
        (changed(grammar, "\"condition\"", "\"when\""), "column 22: unknown field `when`"),
        (changed(problem, "(pickupable ", "(edible "), "unknown predicate 'edible'"),
        (changed(problem, "(exists (", "(every ("), "unknown predicate 'every'"),
    ];
    for (message, expected) in cases {
        assert!(message.contains("trial_1/game.tw-pddl: "), "{message} does not name the file");
        assert!(message.contains(expected), "{message} does not contain {expected}");
    }
}

#[test]
fn games_are_found_in_all_supported_locations() {
    let Some(text) = game_file() else { return };
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("json_2.1.1");
    for name in ["train/b/2", "train/b/1", "valid_seen/a/1"] {
        put_game(&inner, name, &text);
    }
    let names = |path: &std::path::Path, split: Option<&str>| -> Vec<String> {
        let world = AlfWorld::load(path, split, AlfWorldConfig::default()).unwrap();
        (0..world.tasks()).map(|task| world.task_name(task).to_string()).collect()
    };
    let all = ["train/b/1", "train/b/2", "valid_seen/a/1"];
    assert_eq!(names(&inner, None), all);
    assert_eq!(names(outer.path(), None), all);
    assert_eq!(names(&inner, Some("valid_seen")), all[2..]);
    assert_eq!(names(&inner.join("train"), None), all[..2]);

    let failure = |path: &std::path::Path, split: Option<&str>| {
        AlfWorld::load(path, split, AlfWorldConfig::default()).unwrap_err().to_string()
    };
    let message = failure(&inner, Some("test"));
    assert!(message.contains("no split 'test'; found train, valid_seen"), "{message}");
    let empty = tempfile::tempdir().unwrap();
    assert!(failure(empty.path(), None).contains("looked for <split>/<task>/<trial>/game.tw-pddl"));
    assert!(failure(&empty.path().join("no"), None).contains("cannot open"));
    let other = empty.path().join("games.tar.xz");
    std::fs::write(&other, "not an archive").unwrap();
    assert!(failure(&other, None).contains("cannot be read as games: expected a game file"));
}

#[test]
fn progress_ends_with_the_number_of_all_games() {
    let Some(archive) = archive() else { return };
    let mut reports = Vec::new();
    let world = AlfWorld::load_with(
        archive.parent().unwrap(),
        Some("valid_unseen"),
        AlfWorldConfig::default(),
        &mut |done, total| reports.push((done, total)),
    )
    .unwrap();
    assert_eq!(world.tasks(), 134);
    assert_eq!(reports.last(), Some(&(134, None)));
    assert!(reports.is_sorted());
}

#[test]
fn the_expert_wins_within_fifty_steps() {
    let generated = |difficulty| {
        generate(&GeneratorConfig { difficulty, ..Default::default() }, 3, 300).unwrap()
    };
    let mut worlds = vec![generated(Difficulty::Easy), generated(Difficulty::Hard)];
    if let Some(world) = games() {
        worlds.push(world.clone().with_config(AlfWorldConfig::default()));
    }
    for world in worlds {
        let mut wins = 0;
        let mut texts = Texts::new();
        for task in 0..world.tasks() {
            let mut session = world.session(task, 0).unwrap();
            let mut expert = world.expert(task).unwrap();
            wins += usize::from(loop {
                texts.clear();
                session.admissible(&mut texts);
                let action = expert.act(&observation(&session), &texts);
                let done = session.step(texts.get(action).unwrap()).unwrap();
                assert!(done.valid);
                if done.ended() {
                    break done.succeeded();
                }
            });
        }
        assert!(wins * 100 >= world.tasks() * 99, "{wins} of {}", world.tasks());
    }
}

#[test]
fn written_games_can_be_loaded_unchanged() {
    let Some(archive) = archive() else { return };
    let tasks = generate(&GeneratorConfig::default(), 11, 30).unwrap();
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(write_games(&tasks, &archive, folder.path()).unwrap(), 30);
    let written = AlfWorld::load(folder.path(), None, AlfWorldConfig::default()).unwrap();
    assert_eq!(written.tasks(), 30);
    for number in 0..30 {
        let same = task(&written, tasks.task_name(number));
        assert_eq!(written.task_kind(same), tasks.task_kind(number));
        play_walkthrough(&written, same);
        let (a, b) = (tasks.session(number, 0).unwrap(), written.session(same, 0).unwrap());
        assert!(a.objects().eq(b.objects()), "{}", tasks.task_name(number));
        assert!(a.objects().all(|object| a.places_of(object).eq(b.places_of(object))));
    }
    // Loaded games can also be written.
    let unseen = AlfWorld::load(&archive, Some("valid_unseen"), AlfWorldConfig::default()).unwrap();
    write_games(&unseen, &archive, &folder.path().join("again")).unwrap();
    let again =
        AlfWorld::load(&folder.path().join("again"), None, AlfWorldConfig::default()).unwrap();
    for task in 0..unseen.tasks() {
        play_walkthrough(&again, task);
        assert_eq!(again.task_name(task), unseen.task_name(task));
    }
}

#[test]
fn tasks_can_take_the_wording_of_games() {
    let Some(games) = games() else { return };
    let tasks = generate(&GeneratorConfig::default(), 11, 60).unwrap();
    let worded = tasks.clone().worded_like(games).unwrap();
    assert_eq!((worded.name(), games.name()), ("household", "alfworld"));
    let opening = observation(&games.session(0, 0).unwrap());
    let opening = opening.lines().next().unwrap();
    for task in 0..tasks.tasks() {
        play_walkthrough(&worded, task);
        assert_eq!(worded.task_name(task), tasks.task_name(task));
        assert_eq!(worded.walkthrough(task).len(), tasks.walkthrough(task).len());
        let (a, b) = (tasks.session(task, 0).unwrap(), worded.session(task, 0).unwrap());
        assert!(observation(&b).starts_with(opening) && !observation(&a).starts_with(opening));
        assert!(a.objects().eq(b.objects()));
    }
    let none = generate(&GeneratorConfig::default(), 1, 0).unwrap();
    assert!(tasks.worded_like(&none).unwrap_err().to_string().contains("no game of the kind"));
}

#[test]
fn generated_tasks_are_solvable_and_follow_the_mix() {
    for seed in 0..20 {
        for difficulty in [Difficulty::Easy, Difficulty::Medium, Difficulty::Hard] {
            let config = GeneratorConfig { difficulty, ..Default::default() };
            let world = generate(&config, seed, 60).unwrap();
            (0..60).for_each(|task| play_walkthrough(&world, task));
            let kinds: BTreeSet<usize> = (0..60).map(|task| world.task_kind(task)).collect();
            assert_eq!(kinds.len(), 6, "seed {seed}, {difficulty:?}");
        }
    }
    let none = TaskMix { pick: 0.0, look: 0.0, clean: 0.0, heat: 0.0, cool: 0.0, pick2: 0.0 };
    let mix = TaskMix { heat: 1.0, pick2: 3.0, ..none };
    let world = generate(&GeneratorConfig { mix, ..Default::default() }, 1, 400).unwrap();
    let pairs = (0..400).filter(|&task| world.task_kind(task) == 5).count();
    assert!((250..350).contains(&pairs), "{pairs} of 400, expected about 300");
    assert!((0..400).all(|task| [3, 5].contains(&world.task_kind(task))));
}

#[test]
fn generated_tasks_depend_only_on_the_seed() {
    let generated = |seed: u64, count: usize| -> Vec<(String, String)> {
        let world = generate(&GeneratorConfig::default(), seed, count).unwrap();
        let describe = |task| {
            let session = world.session(task, 0).unwrap();
            let places: Vec<_> =
                session.objects().map(|object| session.places_of(object).next()).collect();
            (observation(&session), format!("{places:?} {:?}", world.walkthrough(task)))
        };
        (0..count).map(describe).collect()
    };
    let long = generated(8, 40);
    assert_eq!(generated(8, 40), long);
    assert_eq!(generated(8, 10), long[..10]);
    let other = generated(9, 40);
    assert!((0..40).all(|task| other[task] != long[task]));
    assert_eq!(long.iter().collect::<BTreeSet<_>>().len(), 40);
}

#[test]
fn errors_name_the_setting_and_its_range() {
    let base = GeneratorConfig::default;
    let mix = |pick| TaskMix { pick, ..Default::default() };
    let cases = [
        (GeneratorConfig { receptacles: Some(3), ..base() }, "receptacles", "4 to 60"),
        (GeneratorConfig { objects: Some(101), ..base() }, "objects", "0 to 100"),
        (
            GeneratorConfig { objects: Some(2), distractors: Some(3), ..base() },
            "distractors",
            "0 to 2",
        ),
        (GeneratorConfig { mix: mix(-1.0), ..base() }, "mix.pick", "0 to 1000000"),
        (GeneratorConfig { mix: mix(f32::NAN), ..base() }, "mix.pick", "0 to 1000000"),
    ];
    for (config, key, allowed) in cases {
        let Err(Error::Setting { key: found, message }) = config.validate() else {
            panic!("{config:?} was accepted");
        };
        assert_eq!(found, format!("env.generator.{key}"));
        assert!(message.contains(allowed), "{message} does not contain {allowed}");
    }
    let text = "difficulty = 'hard'\nobjects = 7\n[mix]\nlook = 2.5\n";
    let config: GeneratorConfig = toml::from_str(text).unwrap();
    assert_eq!((config.difficulty, config.objects), (Difficulty::Hard, Some(7)));
    assert_eq!(toml::from_str::<GeneratorConfig>(&toml::to_string(&config).unwrap()), Ok(config));
    assert!(toml::from_str::<GeneratorConfig>("receptacle = 7").is_err());
}

/// The things in a text: words before a number.
fn named(text: &str) -> BTreeSet<(String, u32)> {
    let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
    let pairs = words.windows(2);
    pairs.filter_map(|pair| Some((pair[0].to_string(), pair[1].parse().ok()?))).collect()
}

#[test]
fn paraphrases_have_another_wording_and_the_same_things() {
    let plain = generate(&GeneratorConfig::default(), 4, 40).unwrap();
    let other = plain.clone().with_paraphrase(1.0).unwrap();
    let (mut texts, mut differing) = (BTreeSet::new(), 0);
    for task in 0..plain.tasks() {
        let mut session = plain.session(task, 0).unwrap();
        let mut others: Vec<AlfWorldSession> =
            (0..4).map(|seed| other.session(task, seed).unwrap()).collect();
        for command in plain.walkthrough(task).iter().map(String::as_str).chain(["look", "jump"]) {
            session.step(command).unwrap();
            let plain_text = observation(&session);
            for other in &mut others {
                other.step(command).unwrap();
                let paraphrase = observation(other);
                assert_eq!(
                    paraphrase,
                    observation(other),
                    "the paraphrase changes when it is written again"
                );
                assert_eq!(
                    named(&paraphrase),
                    named(&plain_text),
                    "{paraphrase:?} for {plain_text:?}"
                );
                assert_eq!(admissible(other), admissible(&session));
                differing += usize::from(paraphrase != plain_text);
                texts.insert(paraphrase);
            }
        }
        assert_eq!(session.goal(), others[0].goal());
    }
    assert!(differing > 800 && texts.len() > 500, "{differing} differ, {} texts", texts.len());
    assert!(plain.clone().with_paraphrase(1.5).is_err());
    let unchanged = plain.clone().with_paraphrase(0.0).unwrap();
    let text = |world: &AlfWorld| observation(&world.session(0, 7).unwrap());
    assert_eq!(text(&unchanged), text(&plain));
}

/// Checks the invariants of a state and returns the admissible commands.
fn check_state(session: &AlfWorldSession) -> Vec<String> {
    for object in session.objects() {
        let places = session.places_of(object).count();
        let held = usize::from(session.holding() == Some(object));
        assert_eq!(places + held, 1, "{object} is in {places} places, held {held} times");
    }
    let commands = admissible(session);
    assert!(commands.windows(2).all(|pair| pair[0] < pair[1]), "{commands:?}");
    for command in &commands {
        assert!(session.clone().step(command).unwrap().valid, "{command} was rejected");
    }
    commands
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn random_play_keeps_the_invariants(
        seed in 0u64..1_000_000,
        difficulty in prop::sample::select(vec![
            Difficulty::Easy, Difficulty::Medium, Difficulty::Hard,
        ]),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 40),
    ) {
        let config = GeneratorConfig { difficulty, ..Default::default() };
        let world = generate(&config, seed, 1).unwrap();
        let mut session = world.session(0, 0).unwrap();
        // Commands that were admissible in an earlier state are tried in all later states.
        let mut known: BTreeSet<String> = BTreeSet::new();
        for choice in choices {
            let commands = check_state(&session);
            known.extend(commands.iter().cloned());
            for command in &known {
                let mut copy = session.clone();
                let done = copy.step(command).unwrap();
                prop_assert_eq!(done.valid, commands.contains(command), "{}", command);
                if !done.valid {
                    prop_assert_eq!(admissible(&copy), commands.clone(), "{}", command);
                }
            }
            session.step(&commands[choice.index(commands.len())]).unwrap();
        }
    }

    #[test]
    fn arbitrary_commands_do_not_panic(
        seed in 0u64..1000,
        commands in prop::collection::vec("\\PC{0,30}|(walk to|open|leave|pick) [a-z]{3,9} [0-9]{1,3}", 20),
    ) {
        let world = generate(&GeneratorConfig::default(), seed, 1).unwrap();
        let mut session = world.session(0, 0).unwrap();
        for command in &commands {
            let is_admissible = admissible(&session).contains(&command.trim().to_string());
            prop_assert_eq!(session.step(command).unwrap().valid, is_admissible, "{}", command);
            check_state(&session);
        }
    }

    #[test]
    fn corrupt_files_are_rejected_or_playable(cut in 0.0f64..1.0, byte in any::<u8>()) {
        let Some(text) = game_file() else { return Ok(()) };
        let mut bytes = text.into_bytes();
        let place = (cut * (bytes.len() - 1) as f64) as usize;
        bytes[place] = byte;
        let folder = tempfile::tempdir().unwrap();
        put_game(folder.path(), "train/a/1", &String::from_utf8_lossy(&bytes));
        if let Ok(world) = AlfWorld::load(folder.path(), None, AlfWorldConfig::default()) {
            let mut session = world.session(0, 0).unwrap();
            for command in world.walkthrough(0) {
                session.step(command).unwrap();
                observation(&session);
                admissible(&session);
            }
        }
    }
}
