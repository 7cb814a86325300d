//! `proxmo play`: the user types the commands.

use std::io::{self, IsTerminal};

use clap::Args;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config as LineConfig, Context, Editor, Helper};

use super::layout::{actions_with, lay_out, pages, wrap};
use super::settings::EnvFlags;
use super::terminal::{say, tell_notes, to_out};
use crate::env::{Environment, Session, Texts, Transition, pick_task};
use crate::error::{Error, Result};

/// Play a task yourself. Tab completes admissible actions, `?` lists them, Ctrl-D ends.
///
/// `? WORD` lists the admissible actions that contain a word. The prompt shows the number of the step
/// and the limit.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Split whose tasks are played [default: the held-out split].
    #[arg(long, value_name = "NAME")]
    split: Option<String>,
    /// Task to play, by its name or number [default: picked by --seed].
    #[arg(long, value_name = "TASK")]
    task: Option<String>,
    /// Seed that every random draw derives from.
    ///
    /// It picks the task, unless --task names one.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
    /// Show the solution, one step at each Enter; without a terminal, all steps at once.
    #[arg(long)]
    walkthrough: bool,
    #[command(flatten)]
    pub(super) env: EnvFlags,
}

const EXAMPLES: &str = "\
Examples:
  proxmo play
  proxmo play --env alfworld --games json_2.1.1 --seed 3
  proxmo play --env alfworld --games json_2.1.1 --task 17 --walkthrough
  proxmo play --env process --command \"python3 my_env.py\"";

/// The first line of a game.
const HINT: &str = "Type an action. `?` lists the admissible ones, `? WORD` those that contain a word, \
                    Tab completes them, Ctrl-D ends.";

pub fn run(arguments: &Arguments) -> Result<()> {
    let config = arguments.env.resolve(None)?;
    let split = arguments.split.as_ref().unwrap_or(&config.eval.split);
    let environment = &*config.env.open(split)?;
    tell_notes(environment);
    let task = find_task(environment, arguments)?;
    let name = environment.task_name(task);
    let walkthrough = match arguments.walkthrough {
        true => Some(environment.walkthrough(task).ok_or_else(|| {
            let message = format!("environment '{}' has none for {name}", environment.name());
            Error::setting("--walkthrough", message)
        })?),
        false => None,
    };
    say!("Task {name}\n");
    let session = environment.start(task, arguments.seed)?;
    match walkthrough {
        Some(commands) => show_walkthrough(session, commands),
        None => play(session, environment.max_steps()),
    }
}

/// Plays the solution.
fn show_walkthrough(mut session: Box<dyn Session>, commands: &[String]) -> Result<()> {
    let read = |error| Error::Run(format!("cannot wait for Enter: {error}"));
    let waits = io::stdin().is_terminal();
    let (mut observation, mut last) = (String::new(), Transition::default());
    session.observe(&mut observation);
    say!("{observation}\n");
    for command in commands {
        to_out(format_args!("> {command}"));
        if waits {
            if io::stdin().read_line(&mut String::new()).map_err(read)? == 0 {
                say!();
                return Ok(());
            }
        } else {
            say!();
        }
        last = session.step(command)?;
        observation.clear();
        session.observe(&mut observation);
        say!("{observation}\n");
    }
    say_end(last, commands.len());
    Ok(())
}

fn say_end(last: Transition, steps: usize) {
    let end = if last.succeeded() { "Won" } else { "Not won" };
    say!("{end} after {steps} steps, reward {}.", last.reward);
}

fn find_task(environment: &dyn Environment, arguments: &Arguments) -> Result<usize> {
    let total = environment.tasks();
    let Some(wanted) = &arguments.task else {
        return Ok(pick_task(total, arguments.seed));
    };
    let by_name = (0..total).find(|&task| environment.task_name(task) == wanted);
    let by_number = wanted.parse().ok().filter(|&task| task < total);
    by_name.or(by_number).ok_or_else(|| {
        let message =
            format!("'{wanted}' is neither the name of a task nor a number below {total}");
        Error::setting("--task", message)
    })
}

fn play(mut session: Box<dyn Session>, max_steps: usize) -> Result<()> {
    let failed = |error: ReadlineError| Error::Run(format!("cannot read commands: {error}"));
    let config = LineConfig::builder().completion_type(CompletionType::List).build();
    let mut editor: Editor<Commands, MemHistory> =
        Editor::with_history(config, MemHistory::new()).map_err(failed)?;
    editor.set_helper(Some(Commands(Vec::new())));
    let (width, _) = screen(&mut editor);
    say!("{}\n", wrap(HINT, width));
    say_goal(&*session, width);
    let mut steps = 0;
    loop {
        let (mut observation, mut admissible) = (String::new(), Texts::new());
        session.observe(&mut observation);
        session.admissible(&mut admissible);
        let (width, _) = screen(&mut editor);
        say!("{}\n", lay_out(&observation, &admissible, width));
        if let Some(helper) = editor.helper_mut() {
            helper.0 = admissible.iter().map(str::to_string).collect();
        }
        let command = match read_command(&mut editor, &admissible, &prompt(steps, max_steps)) {
            Ok(Some(command)) => command,
            Ok(None) => return Ok(()),
            Err(error) => return Err(failed(error)),
        };
        let transition = session.step(&command)?;
        steps += 1;
        if transition.ended() {
            let mut last = String::new();
            session.observe(&mut last);
            say!("{}\n", lay_out(&last, &Texts::new(), width));
            say_end(transition, steps);
            return Ok(());
        }
    }
}

/// Prints the goal if the first observation does not contain it.
fn say_goal(session: &dyn Session, width: Option<usize>) {
    let mut observation = String::new();
    session.observe(&mut observation);
    if !observation.contains(session.goal()) {
        say!("{}\n", wrap(&format!("Goal: {}", session.goal()), width));
    }
}

/// The next command, or `None` at the end of the input.
fn read_command(
    editor: &mut Editor<Commands, MemHistory>,
    admissible: &Texts,
    prompt: &str,
) -> Result<Option<String>, ReadlineError> {
    loop {
        match editor.readline(prompt) {
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) if line.trim().starts_with('?') => {
                list(editor, &actions_with(admissible, line.trim().trim_start_matches('?')))?;
            }
            Ok(line) => {
                editor.add_history_entry(&line)?;
                return Ok(Some(line));
            }
            Err(ReadlineError::Eof | ReadlineError::Interrupted) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// Lists actions, on a terminal one screen at a time.
fn list(editor: &mut Editor<Commands, MemHistory>, actions: &[&str]) -> Result<(), ReadlineError> {
    let (_, height) = screen(editor);
    for page in pages(actions.len(), height) {
        actions[page.clone()].iter().for_each(|action| say!("  {action}"));
        let rest = actions.len() - page.end;
        if rest > 0 {
            let question = format!("{rest} more: Enter continues, q ends the list ");
            match editor.readline(&question) {
                Ok(answer) if answer.trim().is_empty() => {}
                Ok(_) | Err(ReadlineError::Interrupted | ReadlineError::Eof) => break,
                Err(error) => return Err(error),
            }
        }
    }
    say!("({} listed)", actions.len());
    Ok(())
}

/// The width and the height of the screen, if the user reads and types on a terminal.
fn screen(editor: &mut Editor<Commands, MemHistory>) -> (Option<usize>, Option<usize>) {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return (None, None);
    }
    let dimensions = editor.dimensions();
    let (width, height) = dimensions.unzip();
    (width.map(usize::from), height.map(usize::from))
}

/// The prompt of the step that follows `steps` steps.
fn prompt(steps: usize, max_steps: usize) -> String {
    format!("step {} of {max_steps}> ", steps + 1)
}

/// Completes the admissible actions.
struct Commands(Vec<String>);

impl Completer for Commands {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..position).unwrap_or(line);
        let fitting = self.0.iter().filter(|action| action.starts_with(typed)).cloned();
        Ok((0, fitting.collect()))
    }
}

impl Hinter for Commands {
    type Hint = String;
}
impl Highlighter for Commands {}
impl Validator for Commands {}
impl Helper for Commands {}
