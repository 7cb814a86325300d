//! One chart.

use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::symbols::Marker;
use ratatui_core::text::{Line, Span};
use ratatui_core::widgets::Widget;
use ratatui_widgets::block::Block;
use ratatui_widgets::chart::{Axis, Chart, Dataset, GraphType};
use ratatui_widgets::paragraph::Paragraph;

use super::curves::{Curve, Point, thinned};
use super::palette::Palette;
use crate::report::short_count;

/// Points that a column of a chart of dots can tell apart.
const DOTS_PER_COLUMN: usize = 2;

/// Draws a curve with its axes, from iteration 0 to `last`, into `area`.
pub fn draw(
    buffer: &mut Buffer,
    area: Rect,
    curve: &Curve,
    last: u64,
    is_selected: bool,
    palette: Palette,
) {
    let border = if is_selected { palette.strong() } else { palette.faint() };
    let block = Block::bordered().border_style(border).title(title(curve, palette));
    let inner = block.inner(area);
    if curve.training.is_empty() && curve.held_out.is_empty() {
        Paragraph::new("no values yet").style(palette.faint()).block(block).render(area, buffer);
        return;
    }
    let most = DOTS_PER_COLUMN * usize::from(inner.width);
    let (training, held_out) = (thinned(&curve.training, most), thinned(&curve.held_out, most));
    let dots = Dataset::default().marker(Marker::Braille).data(&training).style(palette.training());
    let marks = Dataset::default().marker(Marker::Dot).data(&held_out).style(palette.held_out());
    let chart =
        Chart::new(vec![dots.graph_type(GraphType::Line), marks.graph_type(GraphType::Scatter)]);
    let last = last.max(1) as f64;
    let x = Axis::default()
        .bounds([0.0, last])
        .labels(["0".to_string(), short_count(last)])
        .style(palette.faint());
    chart
        .block(block)
        .legend_position(None)
        .x_axis(x)
        .y_axis(vertical(curve, [&training, &held_out], inner.height).style(palette.faint()))
        .render(area, buffer);
}

/// The name, and the newest values in the colours of their points.
fn title(curve: &Curve, palette: Palette) -> Line<'static> {
    let mut words = vec![Span::styled(format!(" {} ", curve.name), palette.strong())];
    if let Some(value) = curve.newest() {
        words.push(Span::styled(format!("{value} "), palette.training()));
    }
    if let Some(value) = curve.newest_held_out() {
        words.push(Span::styled(format!("• held out {value} "), palette.held_out()));
    }
    Line::from(words)
}

/// The vertical axis for `points`, with as many labels as `height` lines have room for.
fn vertical<'a>(curve: &Curve, points: [&[Point]; 2], height: u16) -> Axis<'a> {
    let axis = curve.scale.axis(points.into_iter().flatten().map(|point| point.1));
    let label = |value: f64| curve.scale.label(&axis, value);
    let mut labels: Vec<String> = axis.labels().map(label).collect();
    // The lines of the drawing itself, without those of the horizontal axis.
    let lines = usize::from(height.saturating_sub(2));
    if labels.len() > lines.div_ceil(2) {
        labels = vec![label(axis.low), label(axis.high)];
    }
    Axis::default().bounds([axis.low, axis.high]).labels(labels)
}
