//! Serving a language model to other programs.
//!
//! The continuations of all clients run in one batch: a request joins it between two tokens, and leaves
//! it at its end. What a client gets depends on its request alone: its tokens are drawn from random
//! numbers of its own.
//!
//! | file | contents |
//! |---|---|
//! | [`engine`] | the batch: requests in, tokens out, without any network |
//! | [`request`] | the members of a request, in OpenAI's form |
//! | [`service`] | a request's sequences, and their way into the batch |
//! | [`answer`] | answers, whole and in pieces, in OpenAI's form |
//! | [`refusal`] | errors in OpenAI's form |
//! | [`http`] | routes and connections |
//! | `reply` | answers on their way, and the record of each request |
//! | `slow_writes` | a limit of the time that a client may leave an answer unread |

pub mod answer;
pub mod engine;
pub mod http;
pub mod refusal;
mod reply;
pub mod request;
pub mod service;
mod slow_writes;

pub use engine::{
    Choices, Door, Engine, EngineLimits, Event, Failure, Finish, Job, Listener, door,
};
pub use http::{Log, Server, ServerOptions};
pub use refusal::Refusal;
pub use service::Service;
