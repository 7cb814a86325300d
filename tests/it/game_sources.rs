//! Games as people have them: archives, lists, broken and unsolvable games, annotators' goals.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::str::contains;
use proxmo::env::Environment;
use proxmo::env::alfworld::{AlfWorld, AlfWorldConfig, Annotations, LoadOptions};
use proxmo::runs::demonstrations;
use proxmo::train::ImitationConfig;

use crate::support::alfworld::{game_file, put_game};
use crate::support::shared::shared;

const NAMES: [&str; 3] = ["train/a-1/t_1", "train/a-1/t_2", "valid_seen/b-2/t_3"];

fn load(path: &Path, options: &LoadOptions) -> Result<AlfWorld, String> {
    AlfWorld::load_options(path, options, &mut |_, _| {}).map_err(|error| error.to_string())
}

fn all(path: &Path) -> Result<AlfWorld, String> {
    load(path, &LoadOptions::default())
}

fn names(world: &AlfWorld) -> Vec<&str> {
    (0..world.tasks()).map(|task| world.task_name(task)).collect()
}

/// A tar archive of the games, whose paths begin with `json_2.1.1`.
fn tar_of(text: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for name in NAMES {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        let path = format!("json_2.1.1/{name}/game.tw-pddl");
        archive.append_data(&mut header, path, text.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

fn zip_of(text: &str, path: &Path) {
    let mut archive = zip::ZipWriter::new(File::create(path).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    for name in NAMES {
        archive.add_directory(format!("json_2.1.1/{name}"), options).unwrap();
        archive.start_file(format!("json_2.1.1/{name}/game.tw-pddl"), options).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    archive.finish().unwrap();
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut out = liblzma::write::XzEncoder::new(Vec::new(), 1);
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn zst(bytes: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(bytes, ruzstd::encoding::CompressionLevel::Fastest)
}

#[test]
fn every_archive_format_is_read_whatever_its_file_name() {
    let Some(text) = game_file() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("games.download");
    let tar = tar_of(&text);
    // Two frames after a skippable one, as parallel compressors write them.
    let half = tar.len() / 2;
    let skippable = [&b"\x50\x2a\x4d\x18\x03\0\0\0abc"[..], &zst(&tar[..half]), &zst(&tar[half..])];
    // Two gzip members.
    let members = [gz(&tar[..half]), gz(&tar[half..])].concat();
    for bytes in [tar.clone(), gz(&tar), members, xz(&tar), zst(&tar), skippable.concat()] {
        fs::write(&path, bytes).unwrap();
        assert_eq!(names(&all(&path).unwrap()), NAMES);
    }
    zip_of(&text, &path);
    assert_eq!(names(&all(&path).unwrap()), NAMES);
    // A folder that contains an archive.
    fs::rename(&path, folder.path().join("json_2.1.1.zip")).unwrap();
    assert_eq!(names(&all(folder.path()).unwrap()), NAMES);
}

#[test]
fn one_game_and_the_folders_of_a_game_and_a_task_are_read() {
    let Some(text) = game_file() else { return };
    let folder = tempfile::tempdir().unwrap();
    NAMES.iter().for_each(|name| put_game(folder.path(), name, &text));
    let valid = LoadOptions { split: Some("valid_seen".into()), ..Default::default() };
    let trial = folder.path().join(NAMES[0]);
    for path in [trial.join("game.tw-pddl"), trial.clone()] {
        assert_eq!(names(&load(&path, &valid).unwrap()), NAMES[..1]);
    }
    assert_eq!(names(&all(trial.parent().unwrap()).unwrap()), NAMES[..2]);
    let broken = trial.join("game.tw-pddl");
    fs::write(&broken, "{}").unwrap();
    assert!(all(&broken).unwrap_err().contains("missing field `pddl_domain`"));
}

#[test]
fn compressed_files_that_expand_without_end_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb");
    let mut header = tar::Header::new_gnu();
    header.set_size(1 << 30);
    header.set_path("s/t/u/game.tw-pddl").unwrap();
    header.set_cksum();
    let bytes = [header.as_bytes().as_slice(), &vec![0; 20 << 20]].concat();
    for packed in [gz(&bytes), zst(&bytes)] {
        assert!(packed.len() < 1 << 20, "{}", packed.len());
        fs::write(&path, packed).unwrap();
        assert!(all(&path).unwrap_err().contains("it has more than 16777216 bytes"));
    }
    let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    archive.start_file("s/t/u/game.tw-pddl", options).unwrap();
    archive.write_all(&vec![b'['; 20 << 20]).unwrap();
    archive.finish().unwrap();
    assert!(all(&path).unwrap_err().contains("it has more than 16777216 bytes"));
    // A window of 4 GiB.
    fs::write(&path, b"\x28\xb5\x2f\xfd\x00\xb0").unwrap();
    assert!(all(&path).unwrap_err().contains("cannot be read as an archive of games"));
}

#[test]
fn a_list_selects_games_of_folders_and_archives() {
    let Some(text) = game_file() else { return };
    let folder = tempfile::tempdir().unwrap();
    let games = folder.path().join("json_2.1.1");
    NAMES.iter().for_each(|name| put_game(&games, name, &text));
    let archive = folder.path().join("games.zip");
    zip_of(&text, &archive);
    let list = folder.path().join("list.txt");
    let options = |split: Option<&str>| LoadOptions {
        list: Some(list.clone()),
        split: split.map(str::to_string),
        ..Default::default()
    };
    fs::write(&list, "/data/json_2.1.1/train/a-1/t_2/game.tw-pddl\nb-2/t_3\n").unwrap();
    for path in [&games, &archive] {
        assert_eq!(names(&load(path, &options(None)).unwrap()), NAMES[1..]);
        assert_eq!(names(&load(path, &options(Some("train"))).unwrap()), NAMES[1..2]);
        let message = load(path, &options(Some("valid_unseen"))).unwrap_err();
        let expected = "no split 'valid_unseen' among the listed games; found train, valid_seen";
        assert!(message.contains(expected), "{message}");
    }
    fs::write(&list, "t_1\ntrain/a-1/t_7\n").unwrap();
    let message = load(&games, &options(None)).unwrap_err();
    assert!(message.contains("list.txt:2: there is no game 'train/a-1/t_7' among 3"), "{message}");
}

#[test]
fn broken_games_are_named_counted_and_passed_over_if_asked_for() {
    let Some(text) = game_file() else { return };
    let folder = tempfile::tempdir().unwrap();
    NAMES.iter().for_each(|name| put_game(folder.path(), name, &text));
    put_game(folder.path(), NAMES[1], &text[..5000]);
    let message = all(folder.path()).unwrap_err();
    assert!(message.contains("a-1/t_2/game.tw-pddl: not a game file"), "{message}");
    assert!(message.contains("set env.skip_broken to pass over games"), "{message}");
    let options = LoadOptions { skip_broken: true, ..Default::default() };
    let world = load(folder.path(), &options).unwrap();
    assert_eq!(names(&world), [NAMES[0], NAMES[2]]);
    assert_eq!(world.notes()[0], "1 games cannot be read and are passed over:");
    assert!(world.notes()[1].contains("a-1/t_2/game.tw-pddl: not a game file"));
    let path = folder.path().display().to_string();
    let play = ["env", "serve", "--env", "alfworld", "--games", &path];
    let mut command = Command::cargo_bin("proxmo").unwrap();
    command.args(play).assert().code(2).stderr(contains("set env.skip_broken (--skip-broken) to"));
    let mut command = Command::cargo_bin("proxmo").unwrap();
    let ended = command.args(play).arg("--skip-broken").write_stdin("{\"op\":\"close\"}\n");
    ended.assert().success().stderr(contains("1 games cannot be read and are passed over"));
    NAMES.iter().for_each(|name| put_game(folder.path(), name, "{}"));
    let message = load(folder.path(), &options).unwrap_err();
    assert!(message.contains("none of the 3 games can be read; the first error:"), "{message}");
}

/// A variant of the shipped games, unpacked into a folder.
fn variant(name: &str) -> Option<tempfile::TempDir> {
    let file = File::open(shared("alfworld-variants/games.tar.xz")?).unwrap();
    let mut archive = tar::Archive::new(liblzma::read::XzDecoder::new(file));
    let folder = tempfile::tempdir().unwrap();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path: PathBuf = entry.path().unwrap().components().collect();
        if let Ok(inner) = path.strip_prefix(name)
            && entry.header().entry_type().is_file()
        {
            let target = folder.path().join(inner);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            entry.unpack(target).unwrap();
        }
    }
    Some(folder)
}

#[test]
fn games_without_a_walkthrough_are_played_and_unsolvable_ones_are_counted() {
    for name in ["nowalk", "walknull"] {
        let Some(folder) = variant(name) else { return };
        let world = all(folder.path()).unwrap();
        assert_eq!(world.tasks(), 6, "{name}");
        assert!(world.walkthrough(0).is_empty() && world.notes().is_empty(), "{name}");
    }
    let (Some(unsolvable), Some(others)) = (variant("unsolv"), variant("nowalk")) else { return };
    let split = LoadOptions { split: Some("valid_unseen".into()), ..Default::default() };
    let message = load(unsolvable.path(), &split).unwrap_err();
    let expected = "all 6 games of the split 'valid_unseen' are marked as unsolvable";
    assert!(message.ends_with(expected), "{message}");
    let outer = tempfile::tempdir().unwrap();
    fs::rename(unsolvable.path().join("valid_unseen"), outer.path().join("a")).unwrap();
    fs::rename(others.path().join("valid_unseen"), outer.path().join("b")).unwrap();
    let world = all(outer.path()).unwrap();
    assert_eq!(world.tasks(), 6);
    assert_eq!(world.notes(), ["6 games are marked as unsolvable and left out"]);
}

#[test]
fn goals_take_the_words_of_annotators() {
    let Some(text) = game_file() else { return };
    let folder = tempfile::tempdir().unwrap();
    NAMES.iter().for_each(|name| put_game(folder.path(), name, &text));
    let data = r#"{"turk_annotations": {"anns": [{"task_desc": "Put  the \"thing\" away.\n"},
                   {"task_desc": "Tidy up: now."}]}, "pddl_params": {"object_target": "x"}}"#;
    for name in &NAMES[..2] {
        fs::write(folder.path().join(name).join("traj_data.json"), data).unwrap();
    }
    let goals = |path: &Path, annotations: Annotations| -> Vec<(String, String)> {
        let world = load(path, &LoadOptions { annotations, ..Default::default() }).unwrap();
        let note = "1 games have no traj_data.json beside them and are left out";
        assert_eq!(
            world.notes().iter().any(|found| found == note),
            annotations != Annotations::Templated
        );
        let goal = |task| world.start(task, 0).unwrap().goal().to_string();
        (0..world.tasks()).map(|task| (world.task_name(task).into(), goal(task))).collect()
    };
    assert_eq!(goals(folder.path(), Annotations::Templated).len(), 3);
    let sentences = ["Put the \"thing\" away.", "Tidy up: now."];
    let human = goals(folder.path(), Annotations::Human);
    assert_eq!(human.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), NAMES[..2]);
    assert!(human.iter().all(|(_, goal)| sentences.contains(&goal.as_str())), "{human:?}");
    let every = goals(folder.path(), Annotations::All);
    let expected: Vec<(String, String)> = NAMES[..2]
        .iter()
        .flat_map(|name| (0..2).map(move |at| (format!("{name}#{at}"), sentences[at].to_string())))
        .collect();
    assert_eq!(every, expected);
    // The same from an archive.
    let packed = folder.path().join("games.tar");
    let mut archive = tar::Builder::new(File::create(&packed).unwrap());
    for split in ["train", "valid_seen"] {
        archive.append_dir_all(split, folder.path().join(split)).unwrap();
    }
    archive.finish().unwrap();
    assert_eq!(goals(&packed, Annotations::All), expected);
    let none = LoadOptions {
        annotations: Annotations::Human,
        split: Some("valid_seen".into()),
        ..Default::default()
    };
    let message = load(folder.path(), &none).unwrap_err();
    assert!(message.contains("1 without traj_data.json beside the game"), "{message}");
}

#[test]
fn the_expert_takes_goals_in_free_words_from_their_facts() {
    let Some(folder) = variant("human") else { return };
    let world = AlfWorld::load(folder.path(), None, AlfWorldConfig::default()).unwrap();
    let config = ImitationConfig { from: "expert".into(), ..ImitationConfig::default() };
    let found = demonstrations(&world, &config, 0, 0, &mut |_| {}).unwrap();
    assert_eq!(found.list.len(), world.tasks(), "{:?}", found.remarks);
    // What the expert does not win is counted.
    let short = world.with_config(AlfWorldConfig { max_steps: 8, ..Default::default() });
    let found = demonstrations(&short, &config, 0, 0, &mut |_| {}).unwrap();
    let lost: usize = found.remarks.iter().map(|remark| remark.count).sum();
    assert_eq!(found.list.len() + lost, short.tasks());
    assert!(found.remarks[0].to_string().contains("not won within 8 steps"), "{:?}", found.remarks);
}

#[test]
fn the_games_of_alfworld_download_are_the_default() {
    let Some(text) = game_file() else { return };
    let home = tempfile::tempdir().unwrap();
    let run = |variable: Option<&Path>| {
        let mut command = Command::cargo_bin("proxmo").unwrap();
        command.args(["env", "serve", "--env", "alfworld"]).env("HOME", home.path());
        command.env_remove("ALFWORLD_DATA").write_stdin("{\"op\":\"close\"}\n");
        if let Some(folder) = variable {
            command.env("ALFWORLD_DATA", folder);
        }
        command.assert()
    };
    run(None).code(2).stderr(contains("setting 'env.games' (--games): is not set"));
    let cache = home.path().join(".cache/alfworld");
    put_game(&cache.join("json_2.1.1"), NAMES[0], &text);
    let said = "proxmo: the games are taken from the folder of alfworld-download: ";
    run(None).success().stderr(contains(format!("{said}{}", cache.display())));
    let other = tempfile::tempdir().unwrap();
    put_game(other.path(), NAMES[0], &text);
    let said = format!("the games are taken from $ALFWORLD_DATA: {}", other.path().display());
    run(Some(other.path())).success().stderr(contains(said));
}
