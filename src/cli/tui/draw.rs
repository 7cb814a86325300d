//! Draws the screen.
//!
//! ```text
//! title                                  iteration
//! progress, time left, throughput
//! what is being done
//! names of the curves      or   all six curves
//! the selected curve
//! episode or messages      or   episode and messages
//! warning
//! keys
//! ```

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::{Constraint, Layout, Rect};
use ratatui_core::style::Style;
use ratatui_core::text::{Line, Span};
use ratatui_core::widgets::Widget;
use ratatui_widgets::block::Block;
use ratatui_widgets::paragraph::Paragraph;

use super::chart;
use super::curves::COUNT;
use super::episode::{EpisodeLine, lines, result};
use super::model::Model;
use super::palette::Palette;
use super::view::View;
use crate::cli::progress::clock;
use crate::report::short_count;

/// What the screen shows beside the training itself.
pub struct Scene<'a> {
    /// The lines that are held back, the newest last.
    pub messages: &'a [String],
    /// Whether the training was asked to stop.
    pub is_stopping: bool,
    /// Seconds since the screen was opened.
    pub now: f64,
    /// The styles.
    pub palette: Palette,
}

/// A smaller terminal has room for a line only.
const SMALLEST: (u16, u16) = (64, 16);
/// A terminal of this size has room for all curves.
const LARGE: (u16, u16) = (110, 32);
/// Columns and rows of all curves.
const GRID: (usize, usize) = (3, 2);
/// The width of a bar.
const BAR: usize = 20;

/// Draws the screen into the whole of `buffer`.
pub fn draw(buffer: &mut Buffer, model: &Model, view: &mut View, scene: &Scene) {
    let area = buffer.area;
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let line = Rect { height: area.height.min(1), ..area };
        return Paragraph::new(status(model, scene)).render(line, buffer);
    }
    let is_large = area.width >= LARGE.0 && area.height >= LARGE.1;
    let [title, progress, phase, curves, below, notice, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Fill(3),
        Constraint::Fill(2),
        Constraint::Length(1),
        Constraint::Length(1),
    ])
    .areas(area);
    draw_title(buffer, title, model, scene);
    Paragraph::new(progress_line(model, scene)).render(progress, buffer);
    Paragraph::new(phase_line(model, scene)).render(phase, buffer);
    if is_large && !view.is_single {
        draw_all_curves(buffer, curves, model, view, scene);
    } else {
        draw_one_curve(buffer, curves, model, view, scene);
    }
    if is_large {
        let [left, right] =
            Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(below);
        draw_episode(buffer, left, view, scene);
        draw_messages(buffer, right, scene);
    } else if view.shows_messages {
        draw_messages(buffer, below, scene);
    } else {
        draw_episode(buffer, below, view, scene);
    }
    Paragraph::new(notice_line(scene)).style(scene.palette.warning()).render(notice, buffer);
    Paragraph::new(key_line(is_large)).style(scene.palette.faint()).render(keys, buffer);
}

/// The iteration, with the limit if there is one.
fn iteration(model: &Model) -> String {
    match model.run.iterations {
        0 => format!("iteration {}", model.iteration),
        limit => format!("iteration {}/{limit}", model.iteration),
    }
}

/// The line of a terminal that has room for no more.
fn status(model: &Model, scene: &Scene) -> String {
    if scene.is_stopping {
        return format!("{}, stopping", iteration(model));
    }
    let mut parts = vec![iteration(model)];
    parts.extend(model.curves.all()[0].newest());
    parts.extend(model.left(scene.now).map(|left| format!("{} left", clock(left))));
    parts.push(phase_text(model));
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

fn draw_title(buffer: &mut Buffer, area: Rect, model: &Model, scene: &Scene) {
    let iteration = iteration(model);
    let [left, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(iteration.len() as u16 + 1)])
            .areas(area);
    let title = match model.title.as_str() {
        "" => "proxmo".to_string(),
        title => format!("proxmo  {title}"),
    };
    Paragraph::new(title).style(scene.palette.strong()).render(left, buffer);
    Paragraph::new(iteration).style(scene.palette.strong()).right_aligned().render(right, buffer);
}

/// A bar of which `share` is filled.
fn bar(share: f64, palette: Palette) -> [Span<'static>; 2] {
    let filled = (share.clamp(0.0, 1.0) * BAR as f64) as usize;
    [
        Span::styled("█".repeat(filled), palette.accent()),
        Span::styled("░".repeat(BAR - filled), palette.faint()),
    ]
}

/// How far the run is, its time, and how fast it is.
fn progress_line(model: &Model, scene: &Scene) -> Line<'static> {
    let mut words = Vec::new();
    if model.run.iterations > 0 || model.run.minutes > 0.0 {
        words.extend(bar(model.share, scene.palette));
        words.push(Span::raw(format!(" {:3.0} %  ", 100.0 * model.share)));
    }
    let mut parts = vec![clock(model.elapsed(scene.now))];
    parts.extend(model.left(scene.now).map(|left| format!("{} left", clock(left))));
    if let Some(throughput) = model.throughput() {
        parts.extend(throughput.steps.map(|steps| format!("{} steps/s", short_count(steps))));
        parts.extend(throughput.tokens.map(|tokens| format!("{} tokens/s", short_count(tokens))));
        parts.push(format!("{:.2} s/iteration", throughput.seconds));
    }
    words.push(Span::raw(parts.join("  ")));
    Line::from(words)
}

/// What is being done, and how much of it is done.
fn phase_text(model: &Model) -> String {
    let phase = &model.phase;
    match phase.done {
        Some((done, total)) => format!("{} {done}/{total}", phase.text),
        None => phase.text.clone(),
    }
}

/// Pictures of a wheel that turns.
const WHEEL: [&str; 8] = ["⠋", "⠙", "⠸", "⠴", "⠦", "⠇", "⠏", "⠹"];
/// How often it turns in a second.
const TURNS: f64 = 4.0;

fn phase_line(model: &Model, scene: &Scene) -> Line<'static> {
    let phase = &model.phase;
    if phase.text.is_empty() {
        return Line::default();
    }
    let mut words = Vec::new();
    match phase.done {
        Some((done, total)) => {
            words.extend(bar(done as f64 / total as f64, scene.palette));
            words.push(Span::raw("  "));
        }
        None => {
            let turn = (scene.now * TURNS) as usize % WHEEL.len();
            words.push(Span::styled(format!("{} ", WHEEL[turn]), scene.palette.accent()));
        }
    }
    words.push(Span::raw(phase_text(model)));
    Line::from(words)
}

/// The names of the curves, and the selected one below.
fn draw_one_curve(buffer: &mut Buffer, area: Rect, model: &Model, view: &View, scene: &Scene) {
    let [names, chart] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let mut words = Vec::new();
    for (number, curve) in model.curves.all().iter().enumerate() {
        let is_selected = number == view.curve;
        let style = if is_selected { scene.palette.selected() } else { Style::new() };
        words.push(Span::styled(format!(" {} {} ", number + 1, curve.name), style));
    }
    Paragraph::new(Line::from(words)).render(names, buffer);
    let curve = &model.curves.all()[view.curve % COUNT];
    chart::draw(buffer, chart, curve, model.iteration, false, scene.palette);
}

fn draw_all_curves(buffer: &mut Buffer, area: Rect, model: &Model, view: &View, scene: &Scene) {
    let rows = Layout::vertical([Constraint::Fill(1); GRID.1]).split(area);
    for (row, area) in rows.iter().enumerate() {
        let columns = Layout::horizontal([Constraint::Fill(1); GRID.0]).split(*area);
        for (column, area) in columns.iter().enumerate() {
            let number = row * GRID.0 + column;
            let Some(curve) = model.curves.all().get(number) else { continue };
            let is_selected = number == view.curve;
            chart::draw(buffer, *area, curve, model.iteration, is_selected, scene.palette);
        }
    }
}

fn draw_episode(buffer: &mut Buffer, area: Rect, view: &mut View, scene: &Scene) {
    let palette = scene.palette;
    let block = Block::bordered().border_style(palette.faint());
    let inner = block.inner(area);
    let Some((episode, iteration)) = view.episode() else {
        let text = Paragraph::new("none has ended yet").style(palette.faint());
        return text.block(block.title(" last episode ")).render(area, buffer);
    };
    let stays = if view.is_pinned() { ", stays" } else { "" };
    let title = format!(" episode of iteration {iteration}: {}{stays} ", result(episode));
    let lines = lines(episode, usize::from(inner.width));
    let first = view.first_line(lines.len(), usize::from(inner.height));
    let shown = lines.into_iter().skip(first).take(usize::from(inner.height));
    let styled = shown.map(|line| match line {
        EpisodeLine::Task(text) => Line::styled(text, palette.strong()),
        EpisodeLine::Observation(text) => Line::raw(text),
        EpisodeLine::Action(text) => Line::styled(text, palette.accent()),
    });
    let styled: Vec<Line> = styled.collect();
    Paragraph::new(styled).block(block.title(title)).render(area, buffer);
}

fn draw_messages(buffer: &mut Buffer, area: Rect, scene: &Scene) {
    let block = Block::bordered().border_style(scene.palette.faint()).title(" messages ");
    let inner = block.inner(area);
    let width = usize::from(inner.width).max(1);
    let wrapped: Vec<Line> = scene
        .messages
        .iter()
        .flat_map(|line| textwrap::wrap(line, width))
        .map(|line| Line::raw(line.into_owned()))
        .collect();
    let surplus = wrapped.len().saturating_sub(usize::from(inner.height));
    let newest: Vec<Line> = wrapped.into_iter().skip(surplus).collect();
    Paragraph::new(newest).block(block).render(area, buffer);
}

/// The newest warning, or what a stop waits for.
fn notice_line(scene: &Scene) -> String {
    if scene.is_stopping {
        return "stopping after this iteration; q or Ctrl-C again exits now and loses it".into();
    }
    let warning = scene.messages.iter().rev().find_map(|line| line.strip_prefix("proxmo: "));
    warning.unwrap_or_default().to_string()
}

fn key_line(is_large: bool) -> &'static str {
    match is_large {
        true => "q stop  Tab 1-6 curve  z one curve or all  ↑ ↓ PgUp PgDn episode  Home newest",
        false => "q stop  Tab 1-6 curve  ↑ ↓ PgUp PgDn episode  Home newest  m messages",
    }
}
