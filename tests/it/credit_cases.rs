//! `proxmo credit` on inputs from public reports, with the values that 64-bit arithmetic gives.

use std::fs;

use crate::support::shared::shared;
use assert_cmd::Command;
use burn::tensor::{Device, Tensor};
use proxmo::credit::{CreditConfig, CreditState, Estimator, assign};
use proxmo::episodes::{Batch, Episode};
use serde_json::{Value, json};

/// The standard output, the standard error and the exit code for a shared case.
fn run(case: &str, arguments: &[&str]) -> Option<(String, String, i32)> {
    let path = shared(&format!("cases/credit/{case}"))?;
    let mut command = Command::cargo_bin("proxmo").unwrap();
    let found = command.arg("credit").arg("--input").arg(path).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Some((text(found.stdout), text(found.stderr), found.status.code().unwrap()))
}

fn lines(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The advantage of each episode's first step, and standard error.
fn advantages(case: &str, estimator: &str) -> Option<(Vec<f64>, String)> {
    let (output, errors, code) = run(case, &["--estimator", estimator])?;
    assert_eq!(code, 0, "{case}: {errors}");
    let first = |line: &Value| line["advantages"][0].as_f64().unwrap();
    Some((lines(&output).iter().map(first).collect(), errors))
}

#[track_caller]
fn near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
    }
}

#[test]
fn small_differences_between_large_rewards_are_kept() {
    // (R − mean) / (deviation + 1e-6), with the unbiased deviation 2 · (difference / 4).
    for (case, difference) in [
        ("openrlhf1334.jsonl", 0.0078125),
        ("openrlhf1334_offset.jsonl", 0.5),
        ("openrlhf1334_offset8.jsonl", 3.0),
    ] {
        let Some((found, errors)) = advantages(case, "grpo") else { return };
        let scale = difference / 2.0 + 1e-6;
        let [low, high] = [-difference / 4.0 / scale, 3.0 * difference / 4.0 / scale];
        near(&found, &[low, low, low, high]);
        assert_eq!(errors, "");
        let (centred, _) = advantages(case, "dr-grpo").unwrap();
        let (quarter, rest) = (difference / 4.0, 0.75 * difference);
        near(&centred, &[-quarter, -quarter, -quarter, rest]);
        let (left_out, _) = advantages(case, "rloo").unwrap();
        let third = difference / 3.0;
        near(&left_out, &[-third, -third, -third, difference]);
        let (batch, _) = advantages(case, "reinforce-pp").unwrap();
        near(&batch, &[low, low, low, high]);
    }
}

#[test]
fn totals_that_differ_by_rounding_have_no_advantage_under_any_estimator() {
    for estimator in ["grpo", "dr-grpo", "rloo", "reinforce-pp", "reinforce-pp-baseline"] {
        let Some((found, _)) = advantages("miles570_routes.jsonl", estimator) else { return };
        assert_eq!(found, [0.0; 4], "{estimator}");
    }
    for estimator in ["proxmo", "gigpo"] {
        let arguments = ["--estimator", estimator];
        let (output, errors, _) = run("miles570_routes.jsonl", &arguments).unwrap();
        for line in lines(&output) {
            assert_eq!(line["episode_advantages"], json!([0.0, 0.0, 0.0]), "{estimator}");
        }
        assert!(errors.contains("1 group has zero variance"), "{errors}");
    }
    for size in [3, 5, 7, 8] {
        let case = format!("verl4598_equal_{size}.jsonl");
        let (output, errors, _) = run(&case, &["--estimator", "gigpo"]).unwrap();
        assert!(errors.contains("1 group has zero variance"), "{errors}");
        for line in lines(&output) {
            assert_eq!(line["advantages"], json!([0.0, 0.0, 0.0]), "{case}");
        }
    }
}

/// A group of episodes of one step.
fn group(rewards: &[f64]) -> Batch {
    let episodes = rewards.iter().map(|&reward| Episode::new().step("hall", reward));
    Batch::builder().group(episodes).build().unwrap()
}

#[test]
fn advantages_do_not_change_if_all_rewards_are_shifted() {
    let rewards = [0.25, 1.5, -3.0, 0.25, 2.0, 0.125];
    // PPO compares with values, which a shift leaves as they are.
    let left_out = [Estimator::Graphgpo, Estimator::Ppo];
    for &estimator in Estimator::ALL.iter().filter(|it| !left_out.contains(it)) {
        // G2PO values a success by its reward, which a shift changes.
        if estimator == Estimator::G2po {
            continue;
        }
        let config = CreditConfig::of(estimator);
        let expected = assign(&group(&rewards), &config).unwrap().advantages;
        assert!(expected.iter().any(|&it| it != 0.0), "{estimator}");
        for shift in [1e3, -1e6, 1e8, -1e9] {
            let shifted = rewards.map(|reward| reward + shift);
            let found = assign(&group(&shifted), &config).unwrap().advantages;
            for (found, expected) in found.iter().zip(&expected) {
                assert!(
                    (found - expected).abs() < 1e-5,
                    "{estimator}, {shift}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn the_device_engine_keeps_small_differences_between_large_rewards() {
    let device = Device::flex();
    let estimators =
        [Estimator::Grpo, Estimator::DrGrpo, Estimator::Rloo, Estimator::Gigpo, Estimator::Proxmo];
    for rewards in [[1e8, 1e8, 1e8, 1e8 + 3.0], [0.1 + 0.1 + 0.1, 0.3, 0.3, 0.1 + 0.2]] {
        let batch = group(&rewards);
        for estimator in estimators {
            let config = CreditConfig::of(estimator);
            let host = assign(&batch, &config).unwrap();
            let states = Tensor::from_floats([[1.0, 0.0]; 4], &device);
            let mut state = CreditState::default();
            let found = proxmo::kernels::assign(&batch, Some(states), &device, &config, &mut state)
                .unwrap();
            for (found, expected) in found.advantages.iter().zip(&host.advantages) {
                assert!((found - expected).abs() < 1e-5, "{estimator}: {found} {expected}");
            }
            let is_equal = rewards[3] < 1.0;
            assert_eq!(found.advantages.iter().all(|&it| it == 0.0), is_equal, "{estimator}");
        }
    }
}

#[test]
fn sparse_outcomes_have_the_published_advantages() {
    let Some((found, _)) = advantages("nemo1518.jsonl", "grpo") else { return };
    near(&found, &[0.75 / 0.500001, -0.25 / 0.500001, -0.25 / 0.500001, -0.25 / 0.500001]);
    let (found, _) = advantages("nemo4161.jsonl", "grpo").unwrap();
    // Seven of 0.35 and one of 0: the mean is 0.30625 and the deviation 0.35 / √8.
    let scale = 0.35 / 8f64.sqrt() + 1e-6;
    assert!((found[0] + 0.30625 / scale).abs() < 1e-5);
    found[1..].iter().for_each(|it| assert!((it - 0.04375 / scale).abs() < 1e-5));
}

#[test]
fn files_that_are_not_one_object_a_line_give_the_same_credit() {
    let Some((expected, _, 0)) = run("dup_base.jsonl", &[]) else { return };
    let expected = lines(&expected);
    for case in ["array.json", "pretty.json", "crlf_bom.jsonl"] {
        let (output, errors, code) = run(case, &[]).unwrap();
        assert_eq!((code, errors.as_str()), (0, ""), "{case}");
        assert_eq!(lines(&output), expected, "{case}");
    }
    let (output, errors, code) = run("ints.jsonl", &[]).unwrap();
    assert_eq!((code, &lines(&output)[0]["group"]), (0, &json!(3)), "{errors}");
}

#[test]
fn faults_of_a_line_are_named_with_their_field_and_value() {
    for (case, says) in [
        ("trl5773_nan.jsonl", ":1: steps[0].reward: expected a finite number, found NaN"),
        ("trl5902_null.jsonl", ":1: steps[1].reward: expected a number, found null"),
        ("art53_noreward.jsonl", ":1: steps[0].reward: expected a number, found nothing"),
        (
            "surrogate.jsonl",
            r":1: steps[0].observation: expected a text, found a text with \ud83d alone",
        ),
        ("utf16.jsonl", ":1: expected UTF-8, found UTF-16 (byte-order mark FF FE); convert"),
        ("verlagent_rows.jsonl", ":1: group: expected a text, found nothing"),
    ] {
        let Some((output, errors, code)) = run(case, &[]) else { return };
        assert_eq!((output.as_str(), code), ("", 2), "{case}: {errors}");
        assert!(errors.contains(says) && errors.lines().count() == 1, "{case}: {errors}");
    }
}

#[test]
fn suspect_files_are_credited_with_one_warning() {
    for (case, says) in [
        ("rllm776.jsonl", "8 episodes are each alone in a group"),
        ("dup_padded.jsonl", "1 episode repeats the trajectory of an earlier episode"),
        ("agl74_empty_file.jsonl", "there are no episodes"),
        ("verl7793.jsonl", "1 of 2 groups has one episode"),
        ("agl74_all_empty.jsonl", "2 episodes have no steps"),
    ] {
        let Some((_, errors, code)) = run(case, &["--estimator", "grpo"]) else { return };
        assert_eq!(code, 0, "{case}: {errors}");
        let named = errors.lines().filter(|line| line.contains(says)).count();
        assert_eq!(named, 1, "{case}: {errors}");
    }
    let Some((_, errors, 0)) = run("relax189.jsonl", &[]) else { return };
    assert_eq!(errors, "", "an episode without steps among others is sound");
}

#[cfg(target_os = "linux")]
#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("episodes.jsonl");
    let step = r#"{"observation":"o","action":"a","reward":1.0}"#;
    let episode = |name: &str| {
        format!(r#"{{"group":"g","trajectory":"{name}","success":true,"steps":[{step}]}}"#) + "\n"
    };
    fs::write(&input, (0..20_000).map(|it| episode(&it.to_string())).collect::<String>()).unwrap();
    let program = assert_cmd::cargo::cargo_bin("proxmo");
    let script = |end: &str| format!("\"$1\" credit --input \"$2\" --estimator grpo {end}");
    let run = |end: &str| {
        let mut shell = Command::new("bash");
        shell.args(["-c", &script(end), "bash"]).arg(&program).arg(&input).output().unwrap()
    };
    let closed = run(">&-");
    let errors = String::from_utf8_lossy(&closed.stderr).into_owned();
    assert_eq!(closed.status.code(), Some(1), "{errors}");
    assert!(errors.contains("standard output") && errors.contains("--output"), "{errors}");
    assert_eq!(run("> /dev/null").status.code(), Some(0));
    // A reader that has seen enough is no failure.
    let early = run("| true; exit ${PIPESTATUS[0]}");
    assert_eq!(early.status.code(), Some(0));
}
