//! [OpenEnv](https://github.com/meta-pytorch/OpenEnv): environments over the network.
//!
//! [`OpenEnvServer`] offers any [`Environment`](super::Environment) to trainers that speak OpenEnv.
//!
//! [`OpenEnv`] plays the tasks of any OpenEnv server.
//!
//! Episodes go over a WebSocket, `ws://HOST/ws`, one socket a session:
//!
//! ```text
//! → {"type":"reset","data":{"seed":7}}        ← {"type":"observation","data":{"observation":{…},"reward":null,"done":false}}
//! → {"type":"step","data":{"action":"look"}}  ← {"type":"observation","data":{"observation":{…},"reward":0.0,"done":false}}
//! → {"type":"state"}                          ← {"type":"state","data":{"episode_id":null,"step_count":1}}
//! → {"type":"close"}                          (the server closes the socket)
//! ← {"type":"error","data":{"message":"…","code":"VALIDATION_ERROR"}}   for a message that fails
//! ```
//!
//! `GET /schema` gives the forms of actions, observations and states as JSON Schema, and the tasks are
//! listed below `/{environment}/`: `GET splits`, `POST tasks`, `num_tasks`, `task` and `task_range`. A
//! `reset` names a task by `split` and `index`.

mod client;
mod handshake;
mod server;
mod wire;

pub use client::{OpenEnv, OpenEnvConfig, Threshold};
pub use server::{OpenEnvServer, ServerOptions};
