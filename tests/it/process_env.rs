//! Programs as environments: episodes, and the episodes that a faulty program loses.

use crate::support::process::{Fake, python, runs};
use burn::tensor::Device;
use proxmo::Error;
use proxmo::env::process::{Process, ProcessConfig};
use proxmo::env::{Environment, Texts};
use proxmo::episodes::EpisodeRecord;
use proxmo::policy::Sampling;
use proxmo::policy::scorer::{Scorer, ScorerConfig, ScorerEncoder, ScorerInputs, Vocabulary};
use proxmo::rollout::{Limits, Plan, RolloutBatch, collect_with};

/// A time-out that is never reached, even on a busy machine.
const PATIENT: f64 = 120.0;

/// A time-out that a hanging program reaches soon.
const IMPATIENT: f64 = 5.0;

/// Four episodes of each of these.
const TASKS: [usize; 4] = [0, 3, 4, 5];

fn play(environment: &dyn Environment) -> RolloutBatch<ScorerInputs> {
    play_within(environment, 0.0)
}

/// Plays with a time-out of a step.
fn play_within(environment: &dyn Environment, step_timeout: f64) -> RolloutBatch<ScorerInputs> {
    let words = Fake::new("none");
    let vocabulary = Vocabulary::from_environment(&words.open(1, PATIENT).unwrap(), 6, 100, 0);
    let encoder = ScorerEncoder { vocabulary: vocabulary.unwrap(), max_steps: 6, mentions: false };
    let size = ScorerConfig { embedding: 8, hidden: 8, ..ScorerConfig::default() };
    let policy = Scorer::new(&size.network(encoder.vocabulary.len()), 0, &Device::flex());
    let sampling = Sampling::Temperature(1.0);
    let plan = Plan { tasks: &TASKS, first_group: 0, episodes: 4, sampling, seed: 1, iteration: 2 };
    let limits = Limits { max_errors: 1000, step_timeout };
    collect_with(environment, &policy, &encoder, &plan, &limits).unwrap()
}

/// Episodes without their names, which depend on the lost episodes.
fn nameless(batch: &RolloutBatch<ScorerInputs>) -> Vec<EpisodeRecord> {
    let nameless = |record| EpisodeRecord { trajectory: String::new(), ..record };
    batch.records().into_iter().map(nameless).collect()
}

/// Checks that the remaining episodes equal those of a program without a fault.
#[track_caller]
fn assert_rest_is_sound(batch: &RolloutBatch<ScorerInputs>, what: &str) {
    let sound = play(&Fake::new("none").open(2, PATIENT).unwrap());
    let lost: Vec<usize> = batch.errors.iter().map(|it| 4 * it.group + it.episode).collect();
    let expected = nameless(&sound).into_iter().enumerate();
    let expected: Vec<_> = expected.filter(|(at, _)| !lost.contains(at)).map(|it| it.1).collect();
    assert_eq!(nameless(batch), expected, "{what}");
}

/// Two copies play sixteen episodes. With `is_restarted`, the faulty copy loses all its episodes;
/// otherwise one episode is lost. They are played again, so that none is missing.
fn strike(fault: &str, says: &str, is_restarted: bool, timeout: f64) {
    let fake = Fake::new(fault);
    let environment = fake.open(2, timeout).unwrap();
    let batch = play(&environment);
    let lost = batch.replayed.len();
    let of_task_3 = |it: &proxmo::rollout::EnvironmentError| TASKS[it.group] == 3;
    assert!(batch.replayed.iter().any(of_task_3), "{fault}: {:?}", batch.replayed);
    assert!(if is_restarted { lost <= 8 } else { lost == 1 }, "{fault}: {:?}", batch.replayed);
    assert_eq!(batch.errors, [], "{fault}");
    for error in &batch.replayed {
        let said = error.to_string();
        assert!(said.contains(says), "{fault}: {said}");
        assert!(said.contains("task 'train/") && !said.contains(char::is_control), "{said}");
    }
    assert_rest_is_sound(&batch, fault);

    // The new copy plays the next episodes too.
    let before = fake.pids();
    let again = play(&environment);
    assert_eq!((again.errors.len(), again.replayed.len()), (0, 0), "{fault}");
    assert_rest_is_sound(&again, fault);
    assert_eq!(fake.pids().len(), 2 + usize::from(is_restarted), "{fault}");
    let gone = before.iter().filter(|&&pid| !runs(pid)).count();
    if cfg!(target_os = "linux") {
        assert_eq!(gone, usize::from(is_restarted), "{fault}: the copy is gone, and no zombie");
    }
}

#[test]
fn episodes_of_a_program_that_dies_are_played_again() {
    if !python() {
        return;
    }
    strike("kill", "signal: 9", true, PATIENT);
    strike(
        "exit",
        "exit status: 3; its standard error ends: Traceback: / in the lamp / OilError: [31mit is \
         empty",
        true,
        PATIENT,
    );
    strike("deaf", "closed its standard output", true, PATIENT);
}

#[test]
fn episodes_of_a_program_that_breaks_the_protocol_are_played_again() {
    if !python() {
        return;
    }
    strike("words", "answered 'Loading the model ...', which is not a JSON object", true, PATIENT);
    strike("other session", "was asked", true, PATIENT);
    strike("no session", "neither a session nor an error", true, PATIENT);
    strike("nan", "'reward' is NaN, expected a finite number", false, PATIENT);
    strike("twice", "answered", true, PATIENT);
    strike("endless", "a line of more than 1048576 bytes", true, PATIENT);
}

#[test]
fn an_episode_with_a_malformed_answer_is_played_again() {
    if !python() {
        return;
    }
    strike("infinite", "gave a malformed answer: 'reward' is 1e999", false, PATIENT);
    strike("missing", "gave a malformed answer: missing field `terminated`", false, PATIENT);
    strike("nothing to do", "offers no admissible action", false, PATIENT);
    strike("error", "says: the lamp[2J fell over", false, PATIENT);
}

#[test]
fn a_program_that_hangs_is_killed_with_its_child_processes() {
    if !python() {
        return;
    }
    strike("hang", "gave no answer within 5 seconds", true, IMPATIENT);
    // The child process holds the pipes open.
    let fake = Fake::new("leave child");
    let batch = play(&fake.open(2, IMPATIENT).unwrap());
    assert!((1..=8).contains(&batch.replayed.len()), "{:?}", batch.replayed);
    assert_eq!(batch.errors, []);
    assert_rest_is_sound(&batch, "leave child");
    let child = std::fs::read_to_string(fake.path("child")).unwrap().parse().unwrap();
    assert!(!cfg!(target_os = "linux") || has_ended(child), "process {child} is left");
}

/// Whether a process that is not a child of this one has ended. It may remain a zombie.
fn has_ended(pid: u32) -> bool {
    let ended = || match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Err(_) => true,
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| rest.trim().starts_with('Z')),
    };
    (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        ended()
    })
}

#[test]
fn an_announced_episode_that_failed_to_start_is_started_by_another_copy() {
    if !python() {
        return;
    }
    for (fault, says) in
        [("die at reset", "signal: 9"), ("hang at reset", "gave no answer within 5 seconds")]
    {
        let fake = Fake::new(fault);
        let environment = fake.open(1, IMPATIENT).unwrap();
        // All episodes were announced and are started again, as none has played a step.
        let batch = play(&environment);
        assert_eq!(batch.errors, [], "{fault}");
        assert_rest_is_sound(&batch, fault);
        assert_eq!(fake.pids().len(), 2);
        // An episode that was not announced is lost.
        fake.strike_again();
        let error = environment.start(0, 0).err().unwrap();
        assert!(matches!(error, Error::Environment(_)) && error.to_string().contains(says));
        environment.start(0, 0).unwrap();
        assert_eq!(fake.pids().len(), 3, "the next episode runs it again");
    }
    // If a task kills the program each time, its episodes are lost, and no others.
    let fake = Fake::new("die of task 3");
    let batch = play(&fake.open(4, PATIENT).unwrap());
    let lost = |task: usize| batch.errors.iter().filter(|it| TASKS[it.group] == task).count();
    assert_eq!(lost(3), 4, "{:?}", batch.errors);
    assert_eq!(lost(0) + lost(4) + lost(5), 0, "{:?}", batch.errors);
    assert!(batch.errors.iter().all(|it| it.message.contains("signal: 9")));
    assert_rest_is_sound(&batch, "die of task 3");
}

#[test]
fn a_program_that_cannot_be_restarted_is_reported_each_time() {
    if !python() {
        return;
    }
    let fake = Fake::new("exit at restart");
    let environment = fake.open(1, PATIENT).unwrap();
    let mut session = environment.start(0, 0).unwrap();
    std::fs::write(fake.path("broken"), "").unwrap();
    let first = *fake.pids().first().unwrap();
    let killed =
        std::process::Command::new("sh").args(["-c", &format!("kill -9 {first}")]).status();
    assert!(killed.unwrap().success());
    let died = session.step("say alpha").unwrap_err().to_string();
    assert!(died.contains("ended with signal: 9"), "{died}");
    for _ in 0..3 {
        let error = environment.start(0, 0).err().unwrap();
        assert!(matches!(error, Error::Environment(_)), "{error}");
        assert!(error.to_string().contains("the licence has run out"), "{error}");
    }
    std::fs::remove_file(fake.path("broken")).unwrap();
    environment.start(0, 0).unwrap();
}

#[test]
fn slow_answers_and_long_error_output_are_tolerated() {
    if !python() {
        return;
    }
    for fault in ["slow", "flood"] {
        let fake = Fake::new(fault);
        // The first sixteen steps together exceed the time limit of one step.
        let batch = play(&fake.open(1, if fault == "slow" { IMPATIENT } else { PATIENT }).unwrap());
        assert_eq!(batch.errors, []);
        assert_rest_is_sound(&batch, fault);
        assert_eq!(fake.pids().len(), 1);
    }
}

#[test]
fn an_episode_that_always_ends_its_program_is_lost_alone() {
    if !python() {
        return;
    }
    let fake = Fake::new("always");
    let batch = play(&fake.open(2, PATIENT).unwrap());
    assert!((1..=4).contains(&batch.errors.len()), "{:?}", batch.errors);
    let is_of_task_3 = |it: &proxmo::rollout::EnvironmentError| TASKS[it.group] == 3;
    assert!(batch.errors.iter().all(is_of_task_3), "{:?}", batch.errors);
    assert_eq!(batch.errors.len() + batch.episodes(), 16);
    assert_rest_is_sound(&batch, "always");
    // Every other episode that it took along was played again.
    assert!(batch.replayed.iter().any(|it| !is_of_task_3(it)), "{:?}", batch.replayed);
}

#[test]
fn a_step_timeout_keeps_the_steps_of_many_episodes_together() {
    if !python() {
        return;
    }
    // It answers the first eight steps when all of them have been requested.
    let fake = Fake::new("together");
    let batch = play_within(&fake.open(2, PATIENT).unwrap(), 60.0);
    assert_eq!((batch.errors.len(), batch.replayed.len()), (0, 0), "{:?}", batch.errors);
    assert_rest_is_sound(&batch, "together");
    // The time-out of a step holds for a program, if it is shorter than that of an answer.
    let fake = Fake::new("hang");
    let batch = play_within(&fake.open(2, PATIENT).unwrap(), IMPATIENT);
    assert!(batch.replayed[0].message.contains("gave no answer within 5 seconds"));
    assert_rest_is_sound(&batch, "hang");
}

#[test]
fn a_step_timeout_does_not_change_the_episodes() {
    if !python() {
        return;
    }
    let fake = Fake::new("none");
    let batch = play_within(&fake.open(2, PATIENT).unwrap(), PATIENT);
    assert_eq!(batch.errors, []);
    assert_rest_is_sound(&batch, "with a step time-out");
}

#[test]
fn tasks_belong_to_their_split_and_do_not_change() {
    if !python() {
        return;
    }
    let goal = |environment: &Process, task, seed| {
        environment.start(task, seed).map(|session| session.goal().to_string())
    };
    let fake = Fake::new("none");
    let train = fake.open(1, PATIENT).unwrap();
    let valid = Process::open(&fake.config(1, PATIENT), Some("valid")).unwrap();
    assert_eq!((train.tasks(), valid.tasks(), train.max_steps()), (6, 3, 6));
    assert_eq!(train.name(), "words");
    assert_eq!(train.kinds(), ["short", "long"]);
    assert_eq!((train.task_name(5), valid.task_name(0)), ("train/5", "valid/0"));
    assert_eq!(goal(&train, 4, 9).unwrap(), "say epsilon");
    assert_eq!((train.task_kind(4), train.task_kind(0)), (1, 0));
    assert_eq!(goal(&valid, 1, 9).unwrap(), "say beta");
    assert!(goal(&valid, 3, 9).unwrap_err().to_string().contains("there is no task 3"));

    // Without splits, the last fifth of the seeds is held out.
    let plain = Fake::new("plain");
    let train = plain.open(1, PATIENT).unwrap();
    let valid = Process::open(&plain.config(1, PATIENT), Some("valid")).unwrap();
    assert_eq!((train.tasks(), valid.tasks(), train.kinds().len()), (7, 2, 1));
    assert_eq!(goal(&train, 4, 9).unwrap(), "say epsilon");
    assert_eq!(goal(&valid, 1, 9).unwrap(), "say gamma");

    let moody = Fake::new("moody");
    let train = moody.open(1, PATIENT).unwrap();
    goal(&train, 2, 1 << 20).unwrap();
    let error = goal(&train, 2, 1 << 30).unwrap_err().to_string();
    assert!(error.contains("task number 2") && error.contains("another before"), "{error}");
}

#[test]
fn sessions_share_a_program_and_reuse_session_numbers() {
    if !python() {
        return;
    }
    let fake = Fake::new("none");
    let environment = fake.open(1, PATIENT).unwrap();
    let mut admissible = Texts::new();
    for round in 0..3 {
        let mut sessions: Vec<_> =
            (0..6).map(|task| environment.start(task, round).unwrap()).collect();
        // Episodes of tasks 0 and 1 are announced, one of them in vain.
        environment.announce(&[(0, round + 1), (1, round + 1), (1, round + 2), (7, 0)]);
        for session in &mut sessions {
            // Each session gets its own answer, announced or not.
            session.announce("say beta");
        }
        for (task, session) in sessions.iter_mut().enumerate().rev() {
            let done = session.step("say beta").unwrap();
            assert_eq!(
                (done.succeeded(), done.reward),
                (task == 1, f64::from(u8::from(task == 1)))
            );
            let done = session.step("say nonsense").unwrap();
            assert!(!done.valid && !done.succeeded());
            session.admissible(&mut admissible);
        }
        sessions[0].announce("say beta");
        let error = sessions[0].step("say alpha").unwrap_err().to_string();
        assert!(error.contains("got another action"), "{error}");
        assert!(sessions[0].step("say alpha").unwrap().succeeded());
    }
    assert_eq!(admissible.len(), 3 * 6 * 6);
    drop(environment);
    assert!(fake.path("closed").exists(), "the program is asked to end");
    assert_eq!(fake.pids().len(), 1);
}

#[test]
fn the_description_of_a_program_is_checked() {
    if !python() {
        return;
    }
    for (fault, says) in [
        ("exit at once", "exit status: 1; its standard error ends: no such model: llama; expected"),
        ("hang at start", "gave no answer within 5 seconds; expected {\"protocol\":1"),
        ("describe {\"protocol\": 2}", "it speaks protocol 2, expected 1"),
        ("describe {\"protocol\": null}", "neither a session nor an error"),
        ("describe {\"tasks\": 0}", "'tasks' is 0, expected 1 to 1000000"),
        ("describe {\"tasks\": 20000000}", "'tasks' is 20000000"),
        ("describe {\"tasks\": -1}", "expected a whole number"),
        ("describe {\"max_steps\": 0}", "'max_steps' is 0"),
        ("describe {\"max_steps\": \"six\"}", "'max_steps' is the text"),
        ("describe {\"tasks\": 10}", "its splits have 9 tasks together, expected all 10"),
        ("describe {\"kinds\": [\"a\", \"a\"]}", "its kinds are not at most 64"),
        ("describe {\"kinds\": [\"a\\u001bb\"]}", "one of its kinds is named 'ab'"),
        ("describe {\"splits\": [{\"name\": \"all\", \"tasks\": 9}]}", "expected 'all'"),
        ("describe {\"error\": \"not today\"}", "says: not today; expected {\"protocol\":1"),
        ("describe {\"session\": 0, \"observation\": \"\", \"admissible\": []}", "was asked"),
    ] {
        let fake = Fake::new(fault);
        let timeout = if fault == "hang at start" { IMPATIENT } else { PATIENT };
        let error = fake.open(1, timeout).err().unwrap();
        let said = error.to_string();
        assert!(said.contains(says), "{fault}: {said}");
        assert!(matches!(error, Error::Setting { .. }) && !said.contains('\n'), "{said}");
        assert_eq!(error.exit_code(), 2);
        let left = fake.pids().into_iter().filter(|&pid| runs(pid)).count();
        assert_eq!(left, 0, "{fault}");
    }
    let open = |command: &str| {
        let command = command.into();
        let config = ProcessConfig { command, answer_timeout: 9.0, ..ProcessConfig::default() };
        Process::open(&config, Some("train")).err().unwrap().to_string()
    };
    assert!(open("./no-such-program").contains("'./no-such-program' cannot be run"));
    assert!(open(" ").contains("is not set"));
    assert!(open("program \"x").contains("a quotation that does not end"));
}
