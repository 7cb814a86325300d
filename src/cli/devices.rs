//! `proxmo devices`: what this machine offers.

use clap::Args;

use super::table::table;
use super::terminal::{hand_over, say};
use crate::device::{Adapter, Backend, adapters, choose};
use crate::error::{Error, Result};

/// List the backends and devices of this machine, and which one `--backend auto` takes.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let adapters = adapters();
    let auto = choose(&adapters, Backend::Auto, 0)?;
    if arguments.json {
        let value = serde_json::json!({ "adapters": adapters, "auto": auto });
        let text = serde_json::to_string_pretty(&value)
            .map_err(|error| Error::Run(format!("cannot write JSON: {error}")))?;
        hand_over!("{text}");
        return Ok(());
    }
    let header = ["", "--backend", "--device", "name", "type", "driver", "limits"];
    let rows = adapters.iter().map(|adapter| row(adapter, adapter == auto)).collect();
    say!("{}", table(&header, rows, &[2]));
    say!(
        "* is what --backend auto takes: a real GPU where there is one, else flex. Training measures: \
         where\nthere is a real GPU, it times a few updates of its own on it and on flex, and takes \
         the faster."
    );
    Ok(())
}

fn row(adapter: &Adapter, auto: bool) -> Vec<String> {
    let kind = serde_json::to_value(adapter.kind).ok();
    let kind = kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or_default();
    vec![
        if auto { "*" } else { "" }.into(),
        adapter.backend.to_string(),
        adapter.index.to_string(),
        adapter.name.clone(),
        kind.to_string(),
        adapter.driver.clone(),
        limits(adapter),
    ]
}

/// What an adapter can do at most; nothing for the CPU backends.
pub(super) fn limits(adapter: &Adapter) -> String {
    if adapter.max_invocations == 0 {
        return String::new();
    }
    format!(
        "binding {} MiB, workgroup {} KiB × {}",
        adapter.max_binding >> 20,
        adapter.workgroup_memory >> 10,
        adapter.max_invocations
    )
}
