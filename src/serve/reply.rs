//! Answers on their way to a client, and the record of each request.

use std::convert::Infallible;
use std::mem;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use hyper::Response;
use hyper::body::{Bytes, Frame, SizeHint};
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::answer::{Answers, Head};
use super::engine::{Event, Failure, Listener};
use super::http::{Entry, Log};
use super::refusal::Refusal;
use super::service::{Prepared, Service};
use crate::lm::Tokenizer;

/// The longest path that is recorded, in characters.
const MAX_PATH: usize = 200;

/// What is logged of a request. It is logged when it is dropped.
pub struct Record {
    /// Absent once another record has its place.
    log: Option<Log>,
    begun: Instant,
    entry: Entry,
}

impl Record {
    /// The record of a request that has just come.
    pub fn new(log: Log, peer: SocketAddr, method: String, path: String) -> Self {
        let path = path.chars().take(MAX_PATH).collect();
        let (status, tokens, time) = (None, [0, 0], Duration::ZERO);
        let entry = Entry { peer, method, path, status, is_whole: false, tokens, time };
        Self { log: Some(log), begun: Instant::now(), entry }
    }

    /// The same record, which is no longer kept here.
    pub fn take(&mut self) -> Self {
        Self { log: self.log.take(), begun: self.begun, entry: self.entry.clone() }
    }

    /// The path.
    pub fn path(&self) -> &str {
        &self.entry.path
    }

    /// Records the tokens of the prompt.
    pub fn set_prompt(&mut self, tokens: usize) {
        self.entry.tokens[0] = tokens;
    }

    /// Records the status of the answer.
    pub fn set_status(&mut self, status: u16) {
        self.entry.status = Some(status);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if let Some(log) = self.log.take() {
            self.entry.time = self.begun.elapsed();
            log(&self.entry);
        }
    }
}

/// Sends the events of one answer to the task that waits for them.
struct ToTask {
    index: usize,
    sender: UnboundedSender<(usize, Event)>,
}

impl Listener for ToTask {
    fn tell(&mut self, event: Event) -> ControlFlow<()> {
        match self.sender.send((self.index, event)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn is_gone(&self) -> bool {
        self.sender.is_closed()
    }
}

/// Answers that come. If they are dropped, the engine gives them up.
pub struct Incoming {
    receiver: UnboundedReceiver<(usize, Event)>,
    answers: Answers,
    tokenizer: Arc<Tokenizer>,
}

/// Begins the answers to a request.
///
/// # Errors
/// Refuses the request if the queue is full.
pub fn received(service: &Service, prepared: &Prepared) -> Result<Incoming, Refusal> {
    let (sender, receiver) = unbounded_channel();
    service.begin(prepared, &|index| Box::new(ToTask { index, sender: sender.clone() }))?;
    let request = &prepared.request;
    let head = Head::new(request.endpoint, &service.name, request.log_probs);
    let answers = Answers::new(head, prepared.prompt_tokens, prepared.answers());
    Ok(Incoming { receiver, answers, tokenizer: service.tokenizer.clone() })
}

/// The refusal for answers that were given up.
fn given_up(failure: Failure) -> Refusal {
    match failure {
        Failure::Stopping => Refusal::stopping(),
        Failure::Run(message) => Refusal::failed(message),
    }
}

impl Incoming {
    /// Waits for the end of all answers.
    ///
    /// # Errors
    /// Returns the failure of the first that is given up.
    pub async fn whole(mut self, record: &mut Record) -> Result<Answers, Refusal> {
        while !self.answers.are_whole() {
            match self.receiver.recv().await {
                None => return Err(Refusal::stopping()),
                Some((_, Event::Failed(failure))) => return Err(given_up(failure)),
                Some((index, event)) => self.answers.take(index, event, &self.tokenizer),
            }
            record.entry.tokens = self.answers.counts();
        }
        Ok(self.answers)
    }
}

/// Waits for the first event, and answers with a stream of pieces.
///
/// # Errors
/// Returns the failure if it comes first.
pub async fn streamed(
    mut incoming: Incoming,
    include_usage: bool,
    record: &mut Record,
) -> Result<Response<Body>, Refusal> {
    let first = match incoming.receiver.recv().await {
        None => return Err(Refusal::stopping()),
        Some((_, Event::Failed(failure))) => return Err(given_up(failure)),
        Some(first) => first,
    };
    let mut record = record.take();
    record.set_status(200);
    let mut pieces = Pieces { incoming, include_usage, record, bytes: Vec::new(), is_done: false };
    pieces.take(first);
    let mut response = Response::new(Body(Kind::Pieces(Box::new(pieces))));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// Pieces of answers as server-sent events.
struct Pieces {
    incoming: Incoming,
    include_usage: bool,
    record: Record,
    /// What is to be sent next.
    bytes: Vec<u8>,
    /// Whether nothing comes after `bytes`.
    is_done: bool,
}

impl Pieces {
    fn push(&mut self, value: &Value) {
        self.bytes.extend_from_slice(format!("data: {value}\n\n").as_bytes());
    }

    fn take(&mut self, (index, event): (usize, Event)) {
        if let Event::Failed(failure) = event {
            return self.fail(&given_up(failure));
        }
        self.incoming.answers.take(index, event, &self.incoming.tokenizer);
        for piece in self.incoming.answers.pieces(index, self.include_usage) {
            self.push(&piece);
        }
        self.record.entry.tokens = self.incoming.answers.counts();
        if self.incoming.answers.are_whole() {
            if self.include_usage {
                self.push(&self.incoming.answers.usage_piece());
            }
            self.bytes.extend_from_slice(b"data: [DONE]\n\n");
            self.is_done = true;
        }
    }

    fn fail(&mut self, refusal: &Refusal) {
        self.push(&refusal.to_json());
        self.record.set_status(refusal.status);
        self.is_done = true;
    }

    fn poll(&mut self, context: &mut Context) -> Poll<Option<Bytes>> {
        while !self.is_done {
            match self.incoming.receiver.poll_recv(context) {
                Poll::Ready(Some(event)) => self.take(event),
                Poll::Ready(None) => self.fail(&Refusal::stopping()),
                Poll::Pending if self.bytes.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        let bytes = mem::take(&mut self.bytes);
        self.record.entry.is_whole = self.is_done;
        Poll::Ready((!bytes.is_empty()).then(|| bytes.into()))
    }
}

/// The body of an answer.
pub struct Body(Kind);

enum Kind {
    Whole(Bytes, Record),
    Pieces(Box<Pieces>),
}

impl Body {
    /// A body that is known.
    pub fn whole(bytes: Bytes, record: Record) -> Self {
        Self(Kind::Whole(bytes, record))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let bytes = match &mut self.0 {
            Kind::Whole(bytes, record) => {
                record.entry.is_whole = true;
                Poll::Ready((!bytes.is_empty()).then(|| mem::take(bytes)))
            }
            Kind::Pieces(pieces) => pieces.poll(context),
        };
        bytes.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(bytes, _) => bytes.is_empty(),
            Kind::Pieces(pieces) => pieces.is_done && pieces.bytes.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(bytes, _) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Pieces(_) => SizeHint::default(),
        }
    }
}
