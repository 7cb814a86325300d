//! `report.html`: one file that needs nothing else, neither network nor script.

use std::fmt::Write;

use super::diagnostics::diagnostics;
use super::series::{Point, of_evaluations, of_iterations};
use super::settings_table::settings_section;
use super::statistics::{Bootstrap, Estimate};
use super::summary::{LEVELS, Level, Summaries, bootstrap_for, summarise};
use super::svg::{Curve, Scale, chart, count};
use super::time::time_section;
use super::variants::Variant;

const STYLE: &str = include_str!("style.css");
/// How many colours the style has.
const COLOURS: usize = 10;

/// The report on runs, as a whole page. The same runs give the same bytes.
pub fn page(variants: &[Variant]) -> String {
    let bootstrap = bootstrap_for(variants);
    let summaries = summarise(variants, &bootstrap);
    let title = escape(&title(variants));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
         <style>\n{STYLE}{}</style>\n</head>\n<body>\n<h1>{title}</h1>\n",
        colours(variants.len())
    );
    introduction(&mut page, variants);
    legend(&mut page, variants);
    learning(&mut page, variants, &bootstrap);
    results(&mut page, &summaries);
    speed(&mut page, &summaries);
    diagnostics(&mut page, variants, &bootstrap);
    time_section(&mut page, variants);
    settings_section(&mut page, variants);
    runs(&mut page, variants);
    page.push_str("</body>\n</html>\n");
    page
}

/// Text from a file, made harmless: it means itself, in an element as in an attribute.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            letter => safe.push(letter),
        }
    }
    safe
}

fn title(variants: &[Variant]) -> String {
    let environment = variants.iter().find_map(Variant::config);
    let environment = environment.map_or("", |config| config.env.name());
    match variants {
        [only] => format!("{}: {environment}", only.name),
        all => format!("{} variants compared: {environment}", all.len()),
    }
}

/// The colour of each variant, and its box in the legend: unticked, the variant is hidden.
fn colours(variants: usize) -> String {
    let mut style = String::new();
    for number in 0..variants {
        let colour = number % COLOURS;
        let _ = writeln!(style, ".v{number} {{ --c: var(--c{colour}); }}");
        if number >= COLOURS {
            let dashes = 2 + 4 * (number / COLOURS % 3);
            let _ = writeln!(style, ".v{number} .line {{ stroke-dasharray: {dashes} 3; }}");
        }
        let _ = writeln!(
            style,
            "body:has(#show{number}:not(:checked)) :is(svg, tbody) .v{number} {{ display: none; }}"
        );
    }
    style
}

fn introduction(page: &mut String, variants: &[Variant]) {
    let runs: usize = variants.iter().map(|variant| variant.runs.len()).sum();
    let over: usize = variants.iter().map(Variant::over).sum();
    let steps = variants.iter().flat_map(|variant| &variant.runs);
    let steps: u64 = steps.filter_map(|run| run.metrics.last()).map(|line| line.steps).sum();
    let _ = writeln!(
        page,
        "<p>{}, {over} finished; {} environment steps in all. proxmo {}.</p>",
        plural(runs, "run"),
        count(steps as f64),
        env!("CARGO_PKG_VERSION")
    );
}

fn plural(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn legend(page: &mut String, variants: &[Variant]) {
    if variants.len() < 2 {
        return;
    }
    page.push_str("<div class=\"legend\">\n");
    for (number, variant) in variants.iter().enumerate() {
        let _ = writeln!(
            page,
            "<label class=\"v{number}\"><input type=\"checkbox\" id=\"show{number}\" checked>\
             <span class=\"swatch\"></span>{}</label>",
            escape(&variant.name)
        );
    }
    page.push_str("</div>\n");
}

/// A picture with what it is called; without curves nothing.
pub fn figure(page: &mut String, title: &str, scale: Scale, curves: Vec<Vec<Point>>) {
    let curves = curves.into_iter().enumerate();
    let curves = curves.map(|(variant, points)| Curve { variant, points });
    let curves: Vec<Curve> = curves.filter(|curve| !curve.points.is_empty()).collect();
    if !curves.is_empty() {
        let chart = chart(title, scale, &curves);
        let _ = writeln!(page, "<figure>\n<figcaption>{title}</figcaption>\n{chart}</figure>");
    }
}

fn learning(page: &mut String, variants: &[Variant], bootstrap: &Bootstrap) {
    page.push_str(
        "<h2>Learning</h2>\n<p class=\"note\">Means over seeds; bands are 95 % bootstrap intervals \
         over seeds, absent where there is one seed. Training success is smoothed over a twentieth \
         of a run's iterations. A finished run keeps its last value where others go on.</p>\n\
         <div class=\"charts\">\n",
    );
    let curves = |of: &dyn Fn(&Variant) -> Vec<Point>| variants.iter().map(of).collect();
    let held_out = curves(&|variant| of_evaluations(variant, bootstrap));
    figure(page, "Success on held-out tasks", Scale::Percent, held_out);
    let training = curves(&|variant| of_iterations(variant, bootstrap, &|line| Some(line.success)));
    figure(page, "Success on training tasks", Scale::Percent, training);
    page.push_str("</div>\n");
}

/// A table that scrolls by itself where the screen is narrow. Heads and cells are HTML; the first
/// column is the head of its row, the columns after it are numbers if `numbers`.
pub fn table(page: &mut String, heads: &[String], rows: &[Row], numbers: bool) {
    let class = if numbers { " class=\"number\"" } else { "" };
    page.push_str("<div class=\"wide\"><table>\n<thead><tr>");
    for (place, head) in heads.iter().enumerate() {
        let class = if place > 0 { class } else { "" };
        let _ = write!(page, "<th{class}>{head}</th>");
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for Row { variant, cells } in rows {
        let _ = match variant {
            Some(number) => write!(page, "<tr class=\"v{number}\">"),
            None => write!(page, "<tr>"),
        };
        for (place, cell) in cells.iter().enumerate() {
            let _ = match place {
                0 => write!(page, "<th>{cell}</th>"),
                _ => write!(page, "<td{class}>{cell}</td>"),
            };
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody>\n</table></div>\n");
}

/// A row of a table, and the number of the variant that it tells of.
pub struct Row {
    /// The variant's number.
    pub variant: Option<usize>,
    /// HTML.
    pub cells: Vec<String>,
}

/// A variant's name with its colour.
pub fn named(name: &str) -> String {
    format!("<span class=\"swatch\"></span> {}", escape(name))
}

fn results(page: &mut String, summaries: &Summaries) {
    page.push_str(
        "<h2>Held-out tasks at the end</h2>\n<p class=\"note\">Mean success over seeds, below it the \
         95 % bootstrap interval. Where a variant has finished runs, they alone count.</p>\n",
    );
    let mut heads: Vec<String> = ["variant", "runs", "all tasks"].map(String::from).to_vec();
    heads.extend(summaries.kinds.iter().map(|kind| escape(kind)));
    heads.push("mean steps".into());
    let row = |(number, one): (usize, &super::Summary)| {
        let runs = match one.over {
            over if over == one.runs => one.runs.to_string(),
            over => format!("{over} of {}<small>finished</small>", one.runs),
        };
        let mut cells = vec![named(&one.name), runs, percent_cell(&one.success)];
        cells.extend(one.kinds.iter().map(percent_cell));
        cells.push(number_cell(&one.length, &|value| format!("{value:.1}")));
        Row { variant: Some(number), cells }
    };
    let rows: Vec<Row> = summaries.variants.iter().enumerate().map(row).collect();
    table(page, &heads, &rows, true);
}

fn percent_cell(estimate: &Option<Estimate>) -> String {
    let Some(estimate) = estimate else {
        return "–".into();
    };
    let interval = estimate.interval.map_or_else(String::new, |(low, high)| {
        format!("<small>{:.1} – {:.1}</small>", 100.0 * low, 100.0 * high)
    });
    format!("{:.1} %{interval}", 100.0 * estimate.mean)
}

fn number_cell(estimate: &Option<Estimate>, show: &dyn Fn(f64) -> String) -> String {
    let Some(estimate) = estimate else {
        return "–".into();
    };
    let interval = estimate.interval.map_or_else(String::new, |(low, high)| {
        format!("<small>{} – {}</small>", show(low), show(high))
    });
    format!("{}{interval}", show(estimate.mean))
}

fn speed(page: &mut String, summaries: &Summaries) {
    page.push_str(
        "<h2>How soon</h2>\n<p class=\"note\">Environment steps and minutes until held-out success \
         first reached a level, on straight lines between evaluations: means over the runs that \
         reached it, which are counted where not all did. Minutes are a run's own wall clock, \
         evaluations included; runs side by side slow each other down.</p>\n",
    );
    let heads = LEVELS.iter().map(|level| format!("{:.0} %", 100.0 * level));
    let heads: Vec<String> = std::iter::once("variant".into()).chain(heads).collect();
    let rows = |cell: &dyn Fn(&Level) -> String| -> Vec<Row> {
        let row = |(number, one): (usize, &super::Summary)| {
            let reached = |level: &Level| match level.reached {
                reached if reached == 0 || reached == one.runs => String::new(),
                reached => format!("<small>{reached} of {}</small>", one.runs),
            };
            let cells = one.levels.iter().map(|level| cell(level) + &reached(level));
            let cells = std::iter::once(named(&one.name)).chain(cells).collect();
            Row { variant: Some(number), cells }
        };
        summaries.variants.iter().enumerate().map(row).collect()
    };
    page.push_str("<div class=\"charts\">\n<div>\n<h3>Environment steps to</h3>\n");
    table(page, &heads, &rows(&|level| number_cell(&level.steps, &count)), true);
    page.push_str("</div>\n<div>\n<h3>Minutes to</h3>\n");
    let minutes = |level: &Level| number_cell(&level.minutes, &|value| format!("{value:.1}"));
    table(page, &heads, &rows(&minutes), true);
    page.push_str("</div>\n</div>\n");
}

/// Every run in a line.
fn runs(page: &mut String, variants: &[Variant]) {
    page.push_str("<h2>Runs</h2>\n<details><summary>Every run in a line</summary>\n");
    let heads = ["run", "seed", "iterations", "steps", "minutes", "held-out success", "state"];
    let mut rows = Vec::new();
    for (number, variant) in variants.iter().enumerate() {
        for run in &variant.runs {
            let last = run.metrics.last().cloned().unwrap_or_default();
            let judged = run.metrics.iter().rev().find_map(|line| line.evaluation.as_ref());
            let cells = vec![
                named(&run.name),
                run.config.run.seed.to_string(),
                last.iteration.to_string(),
                count(last.steps as f64),
                format!("{:.1}", last.seconds.elapsed / 60.0),
                judged.map_or("–".into(), |one| format!("{:.1} %", 100.0 * one.success)),
                if run.is_over() { "finished" } else { "not finished" }.into(),
            ];
            rows.push(Row { variant: Some(number), cells });
        }
    }
    table(page, &heads.map(String::from), &rows, true);
    page.push_str("</details>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::household::HouseholdConfig;
    use crate::report::{RecordedRun, group};
    use crate::train::{Config, EvaluationMetrics, IterationMetrics, KindResult};

    const HOSTILE: &str = "<script>alert('\"&x\")</script>";

    fn hostile() -> Vec<RecordedRun> {
        let run = |seed| {
            let mut config = Config::default();
            config.run.seed = seed;
            config.env = HouseholdConfig {
                like: HOSTILE.into(),
                split: HOSTILE.into(),
                ..HouseholdConfig::default()
            }
            .into();
            config.update.epochs = 2 + seed as usize;
            let kinds = vec![KindResult { kind: HOSTILE.into(), ..KindResult::default() }];
            let evaluation =
                Some(EvaluationMetrics { split: HOSTILE.into(), kinds, ..Default::default() });
            let credit = serde_json::json!({ "temperature": HOSTILE, HOSTILE: 1 });
            let line = |iteration| IterationMetrics {
                iteration,
                evaluation: evaluation.clone(),
                credit: credit.clone(),
                ..Default::default()
            };
            RecordedRun {
                name: format!("{HOSTILE}{seed}"),
                config,
                metrics: vec![line(0), line(1)],
            }
        };
        vec![run(0), run(1)]
    }

    #[test]
    fn text_from_files_stays_text() {
        for runs in [hostile(), hostile()[..1].to_vec()] {
            let page = page(&group(runs));
            assert!(!page.contains("<script") && !page.contains("alert('"), "{page}");
            assert!(page.contains("&lt;script&gt;alert(&#39;"), "{page}");
        }
        assert_eq!(escape("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
    }

    #[test]
    fn the_page_asks_nobody_for_anything_and_is_the_same_each_time() {
        let page = page(&group(hostile()));
        for outside in ["http:", "https:", "url(", "src=", "href=", "@import"] {
            assert!(!page.contains(outside), "{outside}");
        }
        assert_eq!(page, super::page(&group(hostile())));
        assert!(super::page(&[]).contains("0 runs"));
    }
}
