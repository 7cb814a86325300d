//! Routes and connections.
//!
//! One thread serves all connections. Reading a request, making its tokens and leaving an answer unread
//! each have a limit of time or size, so no client holds up another.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::net::{SocketAddr, TcpListener};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::runtime::{self, Runtime};
use tokio::sync::{Semaphore, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::answer;
use super::refusal::Refusal;
use super::reply::{Body, Record, received, streamed};
use super::request::Endpoint;
use super::service::Service;
use super::slow_writes::LimitedWrites;
use crate::error::{Error, Result};

/// Bytes of a request's body at most.
pub const MAX_BODY: usize = 8 << 20;

/// Bytes of a request's head at most.
const MAX_HEAD: usize = 64 << 10;

/// Connections at a time. Further ones are closed at once.
const MAX_CONNECTIONS: u32 = 512;

/// Threads that make tokens of requests.
const PREPARING_THREADS: usize = 4;

/// How long the server waits for a connection before it looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// How long answers may be on their way after the last token.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// Called with every request at its end.
pub type Log = Arc<dyn Fn(&Entry) + Send + Sync>;

/// A request at its end.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where it came from.
    pub peer: SocketAddr,
    /// Its method.
    pub method: String,
    /// Its path.
    pub path: String,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
    /// Whether the client got all of the answer, as far as it was sent.
    pub is_whole: bool,
    /// Tokens of the prompt and of the answer.
    pub tokens: [usize; 2],
    /// The time from its head to its end.
    pub time: Duration,
}

/// How a server treats its clients.
#[derive(Clone)]
pub struct ServerOptions {
    /// The key that clients must have, if any.
    pub key: Option<String>,
    /// How long a client may take to send the head or the body of a request, and how long it may leave
    /// an answer unread.
    pub client_time: Duration,
    /// How long answers may go on after the server is told to stop.
    pub grace: Duration,
    /// Called with every request at its end.
    pub log: Log,
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.debug_struct("ServerOptions").finish_non_exhaustive()
    }
}

/// A server of a [`Service`].
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
    runtime: Runtime,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    service: Service,
    options: ServerOptions,
    created: u64,
    stops: Arc<AtomicBool>,
}

impl Server {
    /// A server that listens. It stops when `stops` is set.
    ///
    /// # Errors
    /// Returns an error if the system refuses.
    pub fn new(
        listener: TcpListener,
        service: Service,
        options: ServerOptions,
        stops: Arc<AtomicBool>,
    ) -> Result<Self> {
        let failed = |error: std::io::Error| Error::Run(format!("cannot serve: {error}"));
        listener.set_nonblocking(true).map_err(failed)?;
        let mut builder = runtime::Builder::new_current_thread();
        builder.enable_io().enable_time().max_blocking_threads(PREPARING_THREADS);
        let runtime = builder.build().map_err(failed)?;
        let created = SystemTime::now().duration_since(UNIX_EPOCH);
        let created = created.map_or(0, |time| time.as_secs());
        let shared = Arc::new(Shared { service, options, created, stops });
        Ok(Self { listener, shared, runtime })
    }

    /// Serves until it is to stop. Then no connection is accepted, and those that are open have the time
    /// of grace to end.
    ///
    /// # Errors
    /// Returns an error if the system refuses.
    pub fn run(self) -> Result<()> {
        let Self { listener, shared, runtime } = self;
        let served = runtime.block_on(accept(listener, shared));
        // A thread that renders a chat may still be at work.
        runtime.shutdown_timeout(Duration::from_secs(1));
        served.map_err(|error| Error::Run(format!("cannot serve: {error}")))
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS as usize));
    let (ends, is_ending) = watch::channel(false);
    while !shared.stops.load(Ordering::Relaxed) {
        let (stream, peer) = match timeout(LOOK, listener.accept()).await {
            Ok(Ok(accepted)) => accepted,
            // The connection was lost, or there are too many open files: others may go on.
            Ok(Err(_)) => {
                tokio::time::sleep(LOOK).await;
                continue;
            }
            Err(_) => continue,
        };
        let Ok(permit) = connections.clone().try_acquire_owned() else { continue };
        let (shared, is_ending) = (shared.clone(), is_ending.clone());
        tokio::spawn(async move {
            connection(stream, peer, shared, is_ending).await;
            drop(permit);
        });
    }
    drop(listener);
    let _ = ends.send(true);
    let all = connections.acquire_many(MAX_CONNECTIONS);
    let _ = timeout(shared.options.grace + LAST_WRITES, all).await;
    Ok(())
}

/// Serves a connection to its end. Errors are the client's loss alone.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    mut is_ending: watch::Receiver<bool>,
) {
    // Pieces of an answer are sent as they come.
    let _ = stream.set_nodelay(true);
    let time = shared.options.client_time;
    let stream = TokioIo::new(LimitedWrites::new(stream, time));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(time).max_buf_size(MAX_HEAD);
    let answer = service_fn(move |request| respond(request, peer, shared.clone()));
    let mut connection = pin!(builder.serve_connection(stream, answer));
    let mut ending = pin!(async move {
        let _ = is_ending.wait_for(|is_ending| *is_ending).await;
    });
    let mut is_told = false;
    let _ = poll_fn(|context| {
        if !is_told && ending.as_mut().poll(context).is_ready() {
            is_told = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    })
    .await;
}

async fn respond(
    request: Request<Incoming>,
    peer: SocketAddr,
    shared: Arc<Shared>,
) -> Result<Response<Body>, Infallible> {
    let (method, path) = (request.method().to_string(), request.uri().path().to_string());
    let mut record = Record::new(shared.options.log.clone(), peer, method, path);
    let answered = route(request, &shared, &mut record).await;
    Ok(answered.unwrap_or_else(|refusal| refused(&refusal, record)))
}

/// An answer, or the record of the request for its refusal.
async fn route(
    request: Request<Incoming>,
    shared: &Shared,
    record: &mut Record,
) -> Result<Response<Body>, Refusal> {
    let path = request.uri().path().to_string();
    let is_model = path.starts_with("/v1/models/");
    let needed = match path.as_str() {
        "/health" | "/v1/models" => Method::GET,
        "/v1/chat/completions" | "/v1/completions" => Method::POST,
        _ if is_model => Method::GET,
        _ => return Err(Refusal::no_path(&path)),
    };
    if path != "/health" {
        check_key(&request, shared.options.key.as_deref())?;
    }
    if *request.method() != needed {
        return Err(Refusal::no_method(request.method().as_str(), &path));
    }
    if shared.stops.load(Ordering::Relaxed) {
        return Err(Refusal::stopping());
    }
    let name = &shared.service.name;
    let model = answer::model(name, shared.created);
    match path.as_str() {
        "/health" => Ok(sent(&json!({ "status": "ok" }), record)),
        "/v1/models" => Ok(sent(&json!({ "object": "list", "data": [model] }), record)),
        "/v1/chat/completions" => complete(request, Endpoint::Chat, shared, record).await,
        "/v1/completions" => complete(request, Endpoint::Text, shared, record).await,
        _ => match decoded(path.trim_start_matches("/v1/models/")) {
            asked if asked == *name => Ok(sent(&model, record)),
            asked => Err(Refusal::no_model(&asked, name)),
        },
    }
}

/// A path with escaped characters as such.
fn decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Compares digests, so that the time does not tell how much of a wrong key is right.
fn check_key(request: &Request<Incoming>, key: Option<&str>) -> Result<(), Refusal> {
    let Some(key) = key else { return Ok(()) };
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    match given.map(Sha256::digest) == Some(Sha256::digest(key)) {
        true => Ok(()),
        false => Err(Refusal::unauthorized()),
    }
}

/// Reads a request for a completion and answers it.
async fn complete(
    request: Request<Incoming>,
    endpoint: Endpoint,
    shared: &Shared,
    record: &mut Record,
) -> Result<Response<Body>, Refusal> {
    let body = body_of(request, shared.options.client_time).await?;
    let service = shared.service.clone();
    let prepared = spawn_blocking(move || service.prepare(endpoint, &body)).await;
    let prepared = prepared.map_err(|error| Refusal::failed(error.to_string()))??;
    record.set_prompt(prepared.prompt_tokens);
    let answers = received(&shared.service, &prepared)?;
    if prepared.request.stream {
        return streamed(answers, prepared.request.include_usage, record).await;
    }
    let answers = answers.whole(record).await?;
    Ok(sent(&answers.whole(), record))
}

async fn body_of(request: Request<Incoming>, time: Duration) -> Result<Bytes, Refusal> {
    // A page of another site can send other types without asking the browser.
    if let Some(found) = request.headers().get(CONTENT_TYPE) {
        let found = String::from_utf8_lossy(found.as_bytes()).to_ascii_lowercase();
        if found.split(';').next().map(str::trim) != Some("application/json") {
            return Err(Refusal::no_json(&found));
        }
    }
    let body = request.into_body();
    if body.size_hint().lower() > MAX_BODY as u64 {
        return Err(Refusal::too_large(MAX_BODY));
    }
    match timeout(time, Limited::new(body, MAX_BODY).collect()).await {
        Err(_) => Err(Refusal::too_slow()),
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Refusal::too_large(MAX_BODY)),
        Ok(Err(error)) => Err(Refusal::invalid(format!("the body cannot be read: {error}"))),
    }
}

/// An answer of status 200.
fn sent(value: &Value, record: &mut Record) -> Response<Body> {
    with_json(StatusCode::OK, value, record.take())
}

fn refused(refusal: &Refusal, record: Record) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    let get_only = !record.path().ends_with("completions");
    let mut response = with_json(status, &refusal.to_json(), record);
    let headers = response.headers_mut();
    match refusal.status {
        405 => {
            let allowed = if get_only { "GET" } else { "POST" };
            headers.insert(ALLOW, HeaderValue::from_static(allowed));
        }
        503 => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    response
}

fn with_json(status: StatusCode, value: &Value, mut record: Record) -> Response<Body> {
    record.set_status(status.as_u16());
    let mut response = Response::new(Body::whole(value.to_string().into(), record));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
