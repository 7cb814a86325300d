//! proxmo in a browser: training, games and checks of devices, one call at a time from a web worker.
//!
//! Texts that cross the border to JavaScript are JSON. Errors are exceptions whose message is one line.

mod checks;
mod error;
mod game;
mod training;

use wasm_bindgen::prelude::*;

pub use checks::{check, checks, shader_checks};
pub use game::Game;
pub use training::Training;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn log_error(text: &str);
}

/// Reports panics on the console. Called by the browser when the module is loaded.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| log_error(&panic.to_string())));
}

/// The version of the crate.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").into()
}
