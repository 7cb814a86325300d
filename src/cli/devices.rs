//! `proxmo devices`: the backends and devices of this machine.

use clap::Args;

use super::table::table;
use super::terminal::{hand_over, say};
use crate::device::{Adapter, Backend, adapters, choose};
use crate::error::{Error, Result};

/// List the backends and devices of this machine, and the one that `--backend auto` selects.
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
        "* marks the selection of --backend auto: a hardware GPU if there is one, else flex. With a \
         hardware\nGPU, training times a few of its updates on it and on flex, and selects the faster."
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

/// An adapter's limits; empty for the CPU backends.
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
