//! What the screen shows of recorded events, as text.

use std::collections::BTreeMap;
use std::path::Path;

use ratatui_core::backend::TestBackend;
use ratatui_core::terminal::Terminal;

use super::TuiRenderer;
use super::draw::{Scene, draw};
use super::model::Model;
use super::palette::Palette;
use super::view::{Move, View};
use crate::cli::signals::Stop;
use crate::episodes::{EpisodeRecord, StepRecord};
use crate::rollout::CollectionProgress;
use crate::runs::{PolicySummary, RunStart};
use crate::train::{
    Config, EvaluationMetrics, IterationMetrics, KindResult, Seconds, TokenMetrics, UpdateProgress,
};

/// The metrics of an iteration of a training that succeeds more and more.
fn line(iteration: u64) -> IterationMetrics {
    let done = iteration as f64;
    let success = 1.0 - (-done / 15.0).exp();
    let held_out = 0.9 * success + 0.05;
    let evaluation = EvaluationMetrics {
        success: Some(held_out),
        mean_return: Some(held_out),
        kinds: vec![KindResult { kind: "Pick".into(), tasks: 10, ..KindResult::default() }],
        ..EvaluationMetrics::default()
    };
    IterationMetrics {
        iteration,
        steps: 3000 * iteration,
        success: Some(success),
        mean_return: success,
        length: 30.0,
        loss: 0.1 * (done / 3.0).sin(),
        kl: 0.01 * done,
        entropy: 2.5 - 0.04 * done,
        gradient_norm: 0.2 + 0.05 * (done / 2.0).cos(),
        seconds: Seconds { rollout: 0.5, credit: 0.1, update: 0.4, elapsed: done },
        evaluation: iteration.is_multiple_of(10).then_some(evaluation),
        ..IterationMetrics::default()
    }
}

fn episode() -> EpisodeRecord {
    let step = |observation: &str, action: &str, reward| StepRecord {
        observation: observation.into(),
        action: action.into(),
        reward,
        valid: true,
        ..StepRecord::default()
    };
    EpisodeRecord {
        task: Some("put a clean mug in the cabinet".into()),
        success: Some(true),
        final_observation: Some("You put mug 1 in cabinet 2.".into()),
        steps: vec![
            step(
                "You are in the middle of a room. You see a cabinet 2 and a sinkbasin 1.",
                "go to sinkbasin 1",
                0.0,
            ),
            step("On the sinkbasin 1, you see a mug 1.", "take mug 1 from sinkbasin 1", 0.0),
            step("You pick up the mug 1.", "clean mug 1 with sinkbasin 1", 0.0),
            step("You clean the mug 1.", "go to cabinet 2", 0.0),
            step("The cabinet 2 is open. In it, you see nothing.", "put mug 1 in cabinet 2", 1.0),
        ],
        ..EpisodeRecord::default()
    }
}

/// A run of 100 iterations that begins, or resumes with earlier metrics, one second after the screen was
/// opened.
fn started(earlier: &[IterationMetrics]) -> Model {
    let mut model = Model::new();
    model.title = "household, proxmo, flex on CPU (burn-flex)".into();
    let mut config = Config::default();
    config.run.iterations = 100;
    let start = RunStart {
        folder: Path::new("runs/first"),
        config: &config,
        iteration: earlier.last().map_or(0, |line| line.iteration),
        is_resumed: !earlier.is_empty(),
        changes: &BTreeMap::default(),
        policy: &PolicySummary { kind: "scorer", details: String::new(), parameters: 57728 },
    };
    model.start(&start, earlier, 1.0);
    model
}

/// The run after 40 iterations of a second each, while episodes are played.
fn trained() -> Model {
    let mut model = started(&[]);
    for iteration in 0..=40 {
        model.complete(&line(iteration), 1.0 + iteration as f64);
    }
    model.episode = Some((episode(), 40));
    let progress = CollectionProgress {
        episodes: 128,
        started: 128,
        ended: 48,
        steps: 2130,
        ..CollectionProgress::default()
    };
    model.collect(&progress);
    model
}

const MESSAGES: [&str; 3] = [
    "proxmo 0.1.0, estimator proxmo",
    "  run     runs/first",
    "proxmo: warning: 1 episode was lost to an environment error: the program ended",
];

fn messages() -> Vec<String> {
    MESSAGES.map(String::from).to_vec()
}

/// The screen as text, 41.5 seconds after it was opened.
fn picture(size: (u16, u16), model: &Model, moves: &[Move], is_stopping: bool) -> String {
    let mut view = View::default();
    view.follow(model, 41.5);
    moves.iter().for_each(|&step| view.apply(step));
    let messages = messages();
    let palette = Palette::new(true);
    let scene = Scene { messages: &messages, is_stopping, now: 41.5, palette };
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(|frame| draw(frame.buffer_mut(), model, &mut view, &scene)).unwrap();
    let buffer = terminal.backend().buffer();
    let rows = (0..size.1).map(|y| {
        let row: String = (0..size.0).map(|x| buffer[(x, y)].symbol()).collect();
        row.trim_end().to_string() + "\n"
    });
    rows.collect()
}

/// Compares a picture with the one that is recorded.
fn expect(name: &str, recorded: &str, picture: &str) {
    assert!(picture == recorded, "{name} is now:\n{picture}\nexpected:\n{recorded}");
}

#[test]
fn a_terminal_of_80_columns_shows_one_curve_and_the_last_episode() {
    let picture = picture((80, 24), &trained(), &[], false);
    expect("80x24", include_str!("pictures/80x24.txt"), &picture);
}

#[test]
fn a_large_terminal_shows_all_curves_the_last_episode_and_the_messages() {
    let picture = picture((120, 40), &trained(), &[], false);
    expect("120x40", include_str!("pictures/120x40.txt"), &picture);
}

#[test]
fn a_small_terminal_shows_one_line() {
    let picture = picture((40, 10), &trained(), &[], false);
    expect("40x10", include_str!("pictures/40x10.txt"), &picture);
}

#[test]
fn keys_select_the_curve_and_the_messages_and_scroll_the_episode() {
    let shown = |moves: &[Move]| picture((80, 24), &trained(), moves, false);
    assert!(shown(&[Move::Curve(3)]).contains("┌ KL 0.4000 "));
    assert!(shown(&[Move::NextCurve, Move::NextCurve]).contains("┌ loss "));
    let messages = shown(&[Move::Messages]);
    assert!(messages.contains("┌ messages ") && messages.contains("run     runs/first"));
    let scrolled = shown(&[Move::Scroll(3)]);
    assert!(!scrolled.contains("Task:") && scrolled.contains("> take mug 1"), "{scrolled}");
    assert!(scrolled.contains("return 1.000, stays "));
    let end = shown(&[Move::Scroll(1000)]);
    assert!(end.contains("> put mug 1 in cabinet 2  (reward 1)"), "{end}");
    let single = picture((120, 40), &trained(), &[Move::Curve(4), Move::SingleCurve], false);
    assert!(single.contains("┌ entropy ") && !single.contains("┌ success "), "{single}");
}

#[test]
fn a_stop_is_shown_until_the_iteration_ends() {
    assert!(picture((80, 24), &trained(), &[], true).contains("stopping after this iteration; q"));
    assert_eq!(picture((40, 10), &trained(), &[], true).trim_end(), "iteration 40/100, stopping");
}

#[test]
fn a_resumed_run_shows_its_earlier_points_and_the_pace_of_this_process() {
    let earlier: Vec<IterationMetrics> = (0..=40).map(line).collect();
    let mut model = started(&earlier);
    let resumed = picture((80, 24), &model, &[], false);
    let success = &model.curves.all()[0];
    assert_eq!((success.training.len(), success.held_out.len()), (40, 5));
    assert!(resumed.contains("iteration 40/100") && resumed.contains(" 40 %  1:20"), "{resumed}");
    assert!(!resumed.contains(" left"), "{resumed}");
    // Ten iterations in 20 seconds: 50 more take 100.
    for iteration in 41..=50 {
        model.complete(&line(iteration), 1.0 + 2.0 * (iteration - 40) as f64);
    }
    assert_eq!(model.left(21.0).unwrap().round(), 100.0);
    assert_eq!(model.left(31.0).unwrap().round(), 90.0);
}

#[test]
fn every_phase_shows_its_progress() {
    let mut model = started(&[]);
    let mut shows = |event: &dyn Fn(&mut Model), text: &str| {
        event(&mut model);
        let picture = picture((80, 24), &model, &[], false);
        let phase = picture.lines().nth(2).unwrap_or_default();
        assert!(phase.ends_with(text), "{phase}, expected {text}");
    };
    shows(&|model| model.prepare("loading the tasks"), "loading the tasks");
    shows(&|model| model.demonstrate(64, 1000), "░  collecting demonstrations 64/1000");
    shows(&|model| model.evaluate(128, 200), "░  evaluating on held-out tasks 128/200");
    let collected = |started, ended, steps| CollectionProgress {
        episodes: 8,
        started,
        ended,
        steps,
        ..CollectionProgress::default()
    };
    shows(&|model| model.collect(&collected(6, 0, 0)), "░  starting episodes 6/8");
    shows(&|model| model.collect(&collected(7, 6, 80)), "█░░░░░  playing episodes 6/8");
    shows(&|model| model.collect(&collected(8, 8, 90)), "assigning credit to 90 steps");
    let updated = UpdateProgress { done: 3, total: 12 };
    shows(&|model| model.update(&updated), "█░░░░░░░░░░░░░░░  updating the policy 3/12");
}

#[test]
fn the_first_iteration_on_a_gpu_says_that_it_compiles_kernels() {
    let mut model = started(&[]);
    model.is_on_gpu = true;
    let updated = UpdateProgress { done: 3, total: 12 };
    for (iteration, expected) in
        [(1, "compiling kernels, updating the policy"), (2, "updating the policy")]
    {
        model.update(&updated);
        assert_eq!(model.phase.text, expected);
        model.complete(&line(iteration), iteration as f64);
    }
}

#[test]
fn throughput_is_that_of_the_last_iterations() {
    let mut model = started(&[]);
    assert_eq!(model.throughput(), None);
    model.complete(&line(0), 1.0);
    model.complete(&line(1), 2.0);
    let throughput = model.throughput().unwrap();
    assert_eq!((throughput.steps, throughput.tokens), (Some(3000.0), None));
    assert_eq!(throughput.seconds, 1.0);
    let tokens = TokenMetrics { drawn: 500, forced: 100, ..TokenMetrics::default() };
    let mut model = started(&[]);
    model.complete(&IterationMetrics { tokens: Some(tokens), ..line(1) }, 2.0);
    assert_eq!(model.throughput().unwrap().tokens, Some(600.0));
}

#[test]
fn colours_are_left_out_on_request() {
    let model = trained();
    let coloured = |palette: Palette| {
        let messages = messages();
        let scene = Scene { messages: &messages, is_stopping: false, now: 41.5, palette };
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let mut view = View::default();
        terminal.draw(|frame| draw(frame.buffer_mut(), &model, &mut view, &scene)).unwrap();
        let cells = &terminal.backend().buffer().content;
        cells.iter().any(|cell| cell.fg != ratatui_core::style::Color::Reset)
    };
    assert!(coloured(Palette::new(true)));
    assert!(!coloured(Palette::new(false)));
}

#[test]
fn any_size_of_terminal_can_be_drawn() {
    let model = trained();
    for (width, height) in [(1, 1), (64, 16), (65, 40), (110, 16), (110, 32), (300, 100)] {
        picture((width, height), &model, &[], false);
        picture((width, height), &Model::new(), &[Move::Messages], false);
    }
}

/// The process that the next test watches: a training that panics.
#[test]
#[ignore = "needs a terminal of its own"]
#[should_panic(expected = "the training panics")]
fn panics_on_the_screen() {
    let _renderer = TuiRenderer::open(&Stop::new("iteration"));
    panic!("the training panics");
}

#[test]
#[cfg(unix)]
fn a_panic_restores_the_terminal_and_its_message_is_printed() {
    let check = concat!(env!("CARGO_MANIFEST_DIR"), "/checks/tui_pty.py");
    let mut left = std::process::Command::new("python3");
    left.args([check, "--left"]).arg(std::env::current_exe().unwrap());
    left.args(["--exact", "--ignored", "--nocapture", "cli::tui::tests::panics_on_the_screen"]);
    let Ok(output) = left.output() else {
        assert!(std::env::var_os("CI").is_none(), "there is no python3");
        println!("SKIPPED: there is no python3");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("the training panics"), "{said}");
}
