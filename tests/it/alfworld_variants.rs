//! Games whose domain, grammar or goal differs from the published games, against sessions of the
//! original engine.
//!
//! The games and sessions are not in this repository. The tests read them from
//! `../shared/alfworld-variants` or from the folder `alfworld-variants` in `PROXMO_SHARED`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use crate::support::alfworld::{Transcript, admissible, game_file, observation};
use crate::support::shared::shared;
use proxmo::env::alfworld::{AlfWorld, AlfWorldConfig};
use proxmo::env::{Environment, Session};

/// The text of a compressed file.
fn unpacked(path: &std::path::Path) -> Vec<u8> {
    let file = std::fs::File::open(path).unwrap();
    let mut bytes = Vec::new();
    liblzma::read::XzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    bytes
}

/// The game files by name: `<variant>/<split>/<task>/<trial>`.
fn files() -> Option<BTreeMap<String, Vec<u8>>> {
    let bytes = unpacked(&shared("alfworld-variants/games.tar.xz")?);
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let Some(name) = path.strip_suffix("/game.tw-pddl") else { continue };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        files.insert(name.trim_start_matches("./").to_string(), bytes);
    }
    Some(files)
}

fn read(name: &str, bytes: &[u8]) -> proxmo::error::Result<AlfWorld> {
    AlfWorld::read(name, bytes, AlfWorldConfig { max_steps: 1000, ..Default::default() })
}

/// Plays a recorded session. All texts, commands and results must be equal.
fn play(world: &AlfWorld, transcript: &Transcript) {
    let mut session = world.session(0, 0).unwrap();
    for (number, entry) in transcript.steps.iter().enumerate() {
        let place =
            format!("{} ({}), step {number}: {:?}", transcript.game, transcript.kind, entry.cmd);
        if number > 0 {
            let done = session.step(&entry.cmd).unwrap();
            assert_eq!(done.succeeded(), entry.won, "{place}");
            assert_eq!(done.terminated, entry.done, "{place}");
            assert_eq!(u8::from(done.succeeded()), entry.score, "{place}");
        }
        assert_eq!(observation(&session), entry.obs, "{place}");
        let found = admissible(&session);
        let is_given = found == entry.adm;
        assert!(is_given, "{place}\nfound {found:#?}\nexpected {:#?}", entry.adm);
    }
}

#[test]
fn every_variant_reproduces_the_sessions_of_the_original() {
    let Some(files) = files() else { return };
    let Some(path) = shared("alfworld-variants/transcripts.jsonl.xz") else { return };
    let text = String::from_utf8(unpacked(&path)).unwrap();
    let mut variants: BTreeMap<String, usize> = BTreeMap::new();
    for line in text.lines() {
        let transcript: Transcript = serde_json::from_str(line).unwrap();
        let world = read(&transcript.game, &files[&transcript.game]).unwrap();
        play(&world, &transcript);
        *variants.entry(transcript.game.split('/').next().unwrap().to_string()).or_default() += 1;
    }
    assert_eq!((variants.len(), variants.values().sum()), (16, 233));
}

#[test]
fn games_that_the_original_does_not_play_are_refused_with_the_reason() {
    let Some(files) = files() else { return };
    let Some(path) = shared("alfworld-variants/errors.jsonl") else { return };
    let reasons = [
        ("human_odd", "grammar, rule 'task': "),
        ("movable", "the goal cannot be reached"),
        ("multi_shipped_domain", "the action 'help' of the domain is missing"),
    ];
    let mut seen = BTreeSet::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let name = line["game"].as_str().unwrap();
        let variant = name.split('/').next().unwrap();
        let (_, reason) = reasons.iter().find(|(known, _)| *known == variant).unwrap();
        let message = read(name, &files[name]).unwrap_err().to_string();
        assert!(message.starts_with(name) && message.contains(reason), "{message}");
        seen.insert(variant.to_string());
    }
    assert_eq!(seen.len(), reasons.len());
}

/// The first game file with parts of one field replaced.
fn changed(field: &str, changes: &[(&str, &str)]) -> Option<Vec<u8>> {
    let mut file: serde_json::Value = serde_json::from_str(&game_file()?).unwrap();
    let mut text = file[field].as_str().unwrap().to_string();
    for (part, other) in changes {
        assert!(text.contains(part), "{field} has no {part}");
        text = text.replacen(part, other, 1);
    }
    file[field] = text.into();
    Some(file.to_string().into_bytes())
}

/// The commands that a game's start admits after some commands.
fn after(world: &AlfWorld, commands: &[&str]) -> Vec<String> {
    let mut session = world.session(0, 0).unwrap();
    for command in commands {
        assert!(session.step(command).unwrap().valid, "{command}");
    }
    admissible(&session)
}

#[test]
fn a_game_with_another_disjunct_in_its_domain_plays_like_the_published_game() {
    let sink = "(receptacleType ?r SinkType)";
    let change = [(sink, "(receptacleType ?r SinkType) (receptacleType ?r BathtubType)")];
    let Some(bytes) = changed("pddl_domain", &change) else { return };
    let world = read("train/a/b", &bytes).unwrap();
    let own = read("train/a/b", game_file().unwrap().as_bytes()).unwrap();
    let (mut session, mut other) = (world.session(0, 0).unwrap(), own.session(0, 0).unwrap());
    for command in own.walkthrough(0) {
        assert_eq!(admissible(&session), admissible(&other));
        session.step(command).unwrap();
        other.step(command).unwrap();
        assert_eq!(observation(&session), observation(&other), "{command}");
        assert_eq!(session.holding(), other.holding());
        assert!(session.objects().eq(other.objects()));
        assert!(session.objects().all(|one| session.places_of(one).eq(other.places_of(one))));
    }
    assert!(session.step("look").unwrap().succeeded());
    // The expert of a game with rules of its own is its walkthrough.
    let mut session = world.session(0, 0).unwrap();
    let mut expert = world.expert(0).unwrap();
    let mut texts = proxmo::env::Texts::new();
    let won = (0..own.walkthrough(0).len()).any(|_| {
        texts.clear();
        session.admissible(&mut texts);
        let action = expert.act(&observation(&session), &texts);
        session.step(texts.get(action).unwrap()).unwrap().succeeded()
    });
    assert!(won);
    assert_eq!(world.task_kind(0), own.task_kind(0));
}

#[test]
fn conditions_and_effects_of_all_forms_are_obeyed() {
    let Some(text) = game_file() else { return };
    let own = read("train/a/b", text.as_bytes()).unwrap();
    let first = after(&own, &[]).into_iter().find(|command| command.starts_with("go to ")).unwrap();
    let moves = |world: &AlfWorld, commands: &[&str]| {
        after(world, commands).iter().filter(|command| command.starts_with("go to ")).count()
    };
    let all = moves(&own, &[]);
    let start = "(atLocation ?a ?lStart)\n";
    let with = |condition: &str| {
        let to = format!("(atLocation ?a ?lStart) {condition}\n");
        read("train/a/b", &changed("pddl_domain", &[(start, &to)]).unwrap()).unwrap()
    };
    // Every universal statement about a type without objects holds, and no existential one.
    assert_eq!(moves(&with("(forall (?x - nothing) (checked ?x))"), &[]), all);
    assert_eq!(moves(&with("(exists (?x - nothing) (checked ?x))"), &[]), 0);
    assert_eq!(moves(&with("(imply (checked ?r) (not (checked ?r)))"), &[]), all);
    assert_eq!(moves(&with("(not (forall (?x - receptacle) (not (checked ?x))))"), &[]), 0);
    assert_eq!(moves(&with("(not (= ?lStart ?lEnd))"), &[]), all);
    assert_eq!(moves(&with("(= ?lStart ?lEnd)"), &[]), 0);
    // Looking around closes the way to all receptacles but the first.
    let place = first.strip_prefix("go to ").unwrap();
    let effect = "(checked ?l)\n";
    let closing =
        "(checked ?l) (forall (?x - receptacle) (when (not (checked ?x)) (checked ?x)))\n";
    let changes = [(start, "(atLocation ?a ?lStart) (not (checked ?r))\n"), (effect, closing)];
    let world = read("train/a/b", &changed("pddl_domain", &changes).unwrap()).unwrap();
    assert_eq!(moves(&world, &[]), all);
    assert_eq!(moves(&world, &["look"]), 0);
    let examine = format!("examine {place}");
    assert_eq!(moves(&world, &[&first, &examine]), all - 1);
}

#[test]
fn commands_lose_their_outer_white_space_and_must_match_otherwise() {
    let Some(files) = files() else { return };
    let (name, bytes) = files.iter().find(|(name, _)| name.starts_with("old03/")).unwrap();
    let mut session = read(name, bytes).unwrap().session(0, 0).unwrap();
    for (command, valid) in [
        (" \tlook \n", true),
        ("\x1finventory", true),
        ("help", false),
        ("Look", false),
        ("look.", false),
        ("", false),
    ] {
        assert_eq!(session.step(command).unwrap().valid, valid, "{command:?}");
        assert_eq!(observation(&session) == "Nothing happens.", !valid, "{command:?}");
    }
    assert_eq!(session.steps(), 6);
}

#[test]
fn hostile_rules_and_duplicate_objects_are_refused_in_one_line() {
    let Some(text) = game_file() else { return };
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    let object = file["pddl_problem"].as_str().unwrap();
    let object = object.split("(:objects").nth(1).unwrap().split_whitespace().next().unwrap();
    let twice = format!("(:objects\n{object} - object");
    let many =
        "(exists (?x - object) (exists (?y - object) (exists (?z - object) (exists (?w - object)
        (not (and (checked ?x) (checked ?y) (checked ?z) (checked ?w)))))))";
    let deep = format!("{}(holdsAny ?a)", "(not ".repeat(1000));
    let start = "(atLocation ?a ?lStart)\n";
    let effects =
        "(forall (?x ?y ?z ?w) (when (not (inReceptacle ?x ?y)) (objectAtLocation ?z ?w)))\n";
    let cases = [
        ("pddl_problem", ("(:objects", twice.as_str()), "is declared twice"),
        ("pddl_domain", (start, many), "in this world a step can take more than"),
        ("pddl_domain", ("(checked ?l)\n", effects), "in this world a step can take more than"),
        ("pddl_domain", (start, &deep), "nested more than 64 deep"),
        ("pddl_domain", ("(holds ?a ?o)", "(has ?a ?o)"), "unknown predicate 'has'"),
        ("pddl_problem", ("(:goal", "(:goal (and)"), "expected one formula"),
    ];
    for (field, change, expected) in cases {
        let message = read("a/b/c", &changed(field, &[change]).unwrap()).unwrap_err().to_string();
        assert!(message.starts_with("a/b/c: pddl_"), "{message}");
        assert!(message.contains(expected), "{message} does not contain {expected}");
        assert!(!message.contains('\n') && message.len() < 1000, "{message}");
    }
}
