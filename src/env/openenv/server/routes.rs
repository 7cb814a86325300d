//! The paths of the HTTP server.

use std::borrow::Cow;
use std::convert::Infallible;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{
    CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::upgrade::{OnUpgrade, Parts};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::catalogue::Refusal;
use super::session::{Player, first_state, schema};
use super::socket::Hall;
use crate::env::openenv::handshake::accept_key;
use crate::env::openenv::wire::{SOCKET_PATH, code};

/// Maximum number of bytes of a request's body.
const MAX_BODY: usize = 1 << 20;

/// How long the body of a request may take.
pub const CLIENT_TIME: Duration = Duration::from_secs(30);

type Answer = Response<Full<Bytes>>;

pub async fn respond(request: Request<Incoming>, hall: Arc<Hall>) -> Result<Answer, Infallible> {
    if request.uri().path() == SOCKET_PATH {
        return Ok(begin(request, hall));
    }
    Ok(match route(request, hall).await {
        Ok(value) => with_json(StatusCode::OK, &value),
        Err((status, reason)) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
            with_json(status, &json!({ "detail": reason }))
        }
    })
}

fn with_json(status: StatusCode, value: &Value) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(value.to_string())));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Answers a request that is no session.
async fn route(request: Request<Incoming>, hall: Arc<Hall>) -> Result<Value, Refusal> {
    let path = request.uri().path().trim_end_matches('/').to_string();
    let decoded = |part| percent_decode_str(part).decode_utf8_lossy();
    let parts: Vec<Cow<str>> = path.split('/').skip(1).map(decoded).collect();
    let parts: Vec<&str> = parts.iter().map(|part| &**part).collect();
    let needed = match parts[..] {
        ["health" | "metadata" | "schema" | "state" | "list_environments"] => Method::GET,
        [_, "splits"] => Method::GET,
        ["reset" | "step"] | [_, "tasks" | "num_tasks" | "task" | "task_range"] => Method::POST,
        _ => return Err((404, format!("there is no '{path}'"))),
    };
    if *request.method() != needed {
        return Err((405, format!("{} is no method of '{path}'", request.method())));
    }
    let body = match needed == Method::POST {
        true => body_of(request).await?,
        false => Bytes::new(),
    };
    let catalogue = &hall.catalogue;
    match parts[..] {
        ["health"] => Ok(json!({ "status": "healthy" })),
        ["metadata"] => Ok(metadata(&hall)),
        ["schema"] => Ok(schema()),
        ["state"] => Ok(first_state()),
        ["list_environments"] => Ok(catalogue.environments()),
        ["step"] => Err((400, format!("a step needs a session: connect to {SOCKET_PATH}"))),
        ["reset"] => {
            let hall = hall.clone();
            let reset = spawn_blocking(move || reset(&hall, &body)).await;
            reset.map_err(|error| (500, format!("the environment failed: {error}")))?
        }
        [name, what] => catalogue
            .answer(name, what, &body)
            .unwrap_or_else(|| Err((404, format!("there is no '{path}'")))),
        _ => Err((404, format!("there is no '{path}'"))),
    }
}

fn metadata(hall: &Hall) -> Value {
    let environment = &hall.catalogue.environment;
    let description = format!(
        "{} tasks of at most {} steps; an action is one of the admissible texts",
        environment.tasks(),
        environment.max_steps()
    );
    json!({
        "name": environment.name(), "description": description, "readme_content": null,
        "version": env!("CARGO_PKG_VERSION"), "author": null, "documentation_url": null,
    })
}

/// The first observation of an episode that ends at once.
fn reset(hall: &Hall, body: &[u8]) -> Result<Value, Refusal> {
    let data = match body.trim_ascii().is_empty() {
        true => json!({}),
        false => serde_json::from_slice(body)
            .map_err(|error| (422, format!("the body is not JSON: {error}")))?,
    };
    match Player::new(hall.catalogue.clone()).reset(data) {
        Ok(mut answer) => Ok(answer["data"].take()),
        Err((code::VALIDATION_ERROR, reason)) => Err((422, reason)),
        Err((_, reason)) => Err((500, reason)),
    }
}

async fn body_of(request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let body = Limited::new(request.into_body(), MAX_BODY).collect();
    match timeout(CLIENT_TIME, body).await {
        Err(_) => Err((408, "the body did not arrive in time".into())),
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) => Err((400, format!("the body cannot be read: {error}"))),
    }
}

/// Begins a session: the connection becomes a WebSocket, which a thread of its own serves.
fn begin(mut request: Request<Incoming>, hall: Arc<Hall>) -> Answer {
    let refuse = |reason: &str| {
        let detail = json!({ "detail": reason });
        let mut response = with_json(StatusCode::UPGRADE_REQUIRED, &detail);
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        response
    };
    let headers = request.headers();
    let lists = |name: HeaderName, word: &str| names(headers, &name, word);
    let is_version_13 = lists(SEC_WEBSOCKET_VERSION, "13");
    if !lists(CONNECTION, "upgrade") || !lists(UPGRADE, "websocket") || !is_version_13 {
        return refuse("expected a WebSocket connection of version 13");
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).and_then(|key| key.to_str().ok());
    let Some(key) = key.map(accept_key) else {
        return refuse("there is no 'Sec-WebSocket-Key'");
    };
    let Ok(key) = HeaderValue::from_str(&key) else { return refuse("the key is not text") };
    tokio::spawn(serve(hyper::upgrade::on(&mut request), hall));
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, key);
    response
}

/// Whether a header's list has a word.
fn names(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.any(|value| value.split(',').any(|own| own.trim().eq_ignore_ascii_case(word)))
}

async fn serve(upgrade: OnUpgrade, hall: Arc<Hall>) {
    let Ok(upgraded) = upgrade.await else { return };
    let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<TcpStream>>() else { return };
    let Ok(stream) = io.into_inner().into_std() else { return };
    let name = thread::Builder::new().name("session".into());
    // Without a thread the connection is dropped, and the client may try again.
    let _ = name.spawn(move || hall.play(stream, read_buf.to_vec()));
}
