//! `proxmo verify`.

use clap::Args;
use comfy_table::Table;

use super::devices::limits;
use super::progress::bar;
use super::table::table;
use super::terminal::{hand_over, say, tell};
use crate::device::Backend;
use crate::error::{Error, Result};
use crate::verify::{AdapterReport, Report, TESTS, TestResult, run as verify, select};

/// Check that every backend of this machine computes the same results.
///
/// Compares the kernels with 64-bit references on cases at the edges of what is defined, then a small
/// training, update by update, with the CPU's. Exits with 1 if an error exceeds its bound. Attach the
/// output to a bug report.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Backend that computes.
    ///
    /// all, vulkan, metal, dx12, gl, flex or ndarray.
    #[arg(long, value_name = "NAME", default_value = "all", value_parser = which)]
    backend: Which,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  proxmo verify
  proxmo verify --backend vulkan
  proxmo verify --json > verify.json";

/// The backends to verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    All,
    One(Backend),
}

fn which(name: &str) -> Result<Which, String> {
    if name == "all" {
        return Ok(Which::All);
    }
    let names = Backend::ALL.into_iter().skip(1).map(Backend::name).collect::<Vec<_>>().join(", ");
    match name.parse() {
        Ok(backend) if backend != Backend::Auto => Ok(Which::One(backend)),
        _ => Err(format!("'{name}' is not a backend to verify, expected all, {names}")),
    }
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let (adapters, absent) = match arguments.backend {
        Which::All => select(None)?,
        Which::One(backend) => select(Some(backend))?,
    };
    let bar = bar(adapters.len() * TESTS.len(), "verifying");
    let mut shown = None;
    let found = verify(&adapters, &TESTS, &mut |adapter, test| {
        if shown.as_ref() != Some(adapter) {
            bar.suspend(|| tell!("verifying {} on {}", adapter.backend, adapter.name));
            shown = Some(adapter.clone());
        }
        bar.set_message(test.name);
        bar.inc(1);
    });
    bar.finish_and_clear();
    let report = Report::new(found, absent);
    if arguments.json {
        let text = serde_json::to_string_pretty(&report)
            .map_err(|error| Error::Run(format!("cannot write JSON: {error}")))?;
        hand_over!("{text}");
    } else {
        print(&report);
    }
    conclude(&report)
}

/// Returns an error if a test failed.
fn conclude(report: &Report) -> Result<()> {
    if report.ok {
        return Ok(());
    }
    let tests = report.adapters.iter().flat_map(|one| &one.tests);
    let (failed, all) = (tests.clone().filter(|test| !test.ok).count(), tests.count());
    Err(Error::Run(format!("{failed} of {all} tests exceeded their bounds")))
}

fn print(report: &Report) {
    let Report { version, os, architecture, threads, .. } = report;
    say!("proxmo {version} on {os} {architecture}, {threads} threads\n");
    say!("{}\n", adapters(&report.adapters));
    say!("{}", tests(&report.adapters));
    for one in &report.adapters {
        for (test, failure) in
            one.tests.iter().flat_map(|test| test.failures.iter().map(move |told| (test, told)))
        {
            let name = &one.adapter.name;
            say!("{} on {name}: {}: {failure}", one.adapter.backend, test.test);
        }
    }
    let absent = report.absent.iter().map(|one| format!("{} ({})", one.backend, one.reason));
    let absent = absent.collect::<Vec<_>>().join(", ");
    if !absent.is_empty() {
        say!("Not tested: {absent}.");
    }
}

fn adapters(verified: &[AdapterReport]) -> Table {
    let rows = verified.iter().map(|AdapterReport { adapter, .. }| {
        vec![
            adapter.backend.to_string(),
            adapter.name.clone(),
            adapter.driver.clone(),
            limits(adapter),
        ]
    });
    table(&["backend", "adapter", "driver", "limits"], rows.collect(), &[])
}

fn tests(verified: &[AdapterReport]) -> Table {
    let header = ["backend", "adapter", "test", "worst error", "bound", "time", "ok"];
    let rows = verified.iter().flat_map(|one| {
        one.tests.iter().map(|test| {
            let TestResult { worst_error, bound, seconds, ok, .. } = test;
            let number = |number: &Option<f64>| {
                number.map_or_else(|| "none".to_string(), |number| format!("{number:.1e}"))
            };
            vec![
                one.adapter.backend.to_string(),
                one.adapter.name.clone(),
                test.test.to_string(),
                number(worst_error),
                number(bound),
                format!("{seconds:.2} s"),
                if *ok { "ok" } else { "FAILED" }.to_string(),
            ]
        })
    });
    table(&header, rows.collect(), &[3, 4, 5])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_exceeds_its_bound_fails_the_run() {
        let (here, _) = select(Some(Backend::Flex)).unwrap();
        let mut found = verify(&here, &TESTS[8..10], &mut |_, _| {});
        conclude(&Report::new(found.clone(), Vec::new())).unwrap();
        found[0].tests[1].ok = false;
        let error = conclude(&Report::new(found, Vec::new())).unwrap_err();
        assert_eq!(error.to_string(), "1 of 2 tests exceeded their bounds");
        assert_eq!(error.exit_code(), 1);
    }

    #[test]
    fn a_backend_is_all_or_a_name_other_than_auto() {
        assert_eq!(which("all"), Ok(Which::All));
        assert_eq!(which("gl"), Ok(Which::One(Backend::Gl)));
        assert!(which("auto").unwrap_err().contains("expected all, vulkan"));
        assert!(which("wgpu").is_err());
    }
}
