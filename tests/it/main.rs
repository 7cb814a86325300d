//! The integration tests, one module a concern. Tests that measure the process itself (its memory, its
//! handles) have binaries of their own.

mod act;
mod alfworld;
mod alfworld_variants;
mod allocator;
#[cfg(feature = "wgpu")]
mod auto_backend;
mod cached_attention;
mod cli;
mod clone;
mod compare_cli;
mod credit_cases;
mod credit_cli;
mod credit_parity;
mod credit_properties;
mod cross_backend;
mod demonstration_files;
mod docs;
mod env_cli;
mod examples;
mod faults;
#[cfg(unix)]
mod faults_cli;
mod game_sources;
mod layers;
mod lm;
mod lm_choose;
mod lm_fit;
mod lm_fit_cli;
mod lm_fit_resume;
mod lm_generate;
mod lm_generate_cli;
mod lm_gguf;
#[cfg(feature = "hub")]
mod lm_hub;
mod lm_new;
mod lm_policy;
mod lm_smollm2;
mod lm_tokens;
mod lm_tokens_properties;
mod lm_weights;
mod openenv_client;
mod openenv_server;
mod openenv_tls;
mod openenv_writing;
mod process_cli;
mod process_env;
mod process_modes;
mod ranks;
mod resume;
mod resume_changes;
mod returns;
mod run_outputs;
mod scripts;
mod serve;
mod serve_engine;
#[cfg(feature = "wgpu")]
mod shaders;
mod support;
mod training;
mod trusted_commands;
#[cfg(unix)]
mod tui;
mod untrusted;
mod untrusted_checkpoint;
mod untrusted_games;
mod variation;
mod webshop;
mod webshop_bad_data;
mod webshop_cli;
mod webshop_parts;
mod webshop_training;
