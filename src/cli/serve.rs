//! `proxmo serve`.

use std::net::{IpAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;

use super::lm::model::{ModelFlags, ModelOrRun};
use super::signals::end_on_signal;
use super::terminal::tell;
use crate::error::{Error, Result};
use crate::lm::{Decoder, Tokenizer};
use crate::runs::TrainedModel;
use crate::serve::engine::{Counts, capacity, door};
use crate::serve::http::Entry;
use crate::serve::{Engine, EngineLimits, Server, ServerOptions, Service};

/// Serve a language model to other programs over HTTP, in OpenAI's form.
///
/// Paths: POST /v1/chat/completions and /v1/completions, GET /v1/models, /v1/models/NAME and /health. Answers
/// come whole, or in pieces with "stream". Members beyond OpenAI's: "top_k", and "guided_choice", a list of
/// texts one of which is the answer. A member that is not supported is refused by its name.
///
/// Requests of all clients are continued in one batch, which they join and leave at any token. With "seed",
/// the answer is that of `proxmo lm generate` with this --seed for the prompt as its first line, whatever else
/// is in the batch.
///
/// Ctrl-C ends the server: it accepts nothing more, and answers have ten seconds to end.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    source: ModelOrRun,
    /// Name of the model in requests [default: the name of its folder, or on the Hub].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Address to listen on. The default reaches this machine only.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
    /// Environment variable with a key, which requests must then have (Authorization: Bearer KEY).
    #[arg(long, value_name = "NAME")]
    api_key_env: Option<String>,
    /// Number of sequences that are continued together. Others wait.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Number of sequences that may wait. Further requests are refused with status 503.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..))]
    queue: u16,
    /// Limit of the memory for keys and values, in MB. A sequence waits until there is room for all of it.
    #[arg(long, value_name = "MB", default_value_t = 2048, value_parser = clap::value_parser!(u32).range(1..))]
    max_cache: u32,
    /// Seconds that a client may take to send a request, or leave a part of an answer unread.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..))]
    client_timeout: u16,
    /// Print no line for each request, only warnings and the summary.
    #[arg(long, short)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  proxmo serve --model SmolLM2-135M-Instruct
  proxmo serve --model SmolLM2-135M-Instruct --adapter adapter --port 9000 --name agent
  proxmo serve --model model.gguf --host 0.0.0.0 --api-key-env PROXMO_KEY
  proxmo serve --run runs/household-1
  curl http://127.0.0.1:8080/v1/chat/completions -H 'Content-Type: application/json' \\
    -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}], \"max_tokens\": 32}'";

/// How long answers may go on after Ctrl-C.
const GRACE: Duration = Duration::from_secs(10);

pub fn run(arguments: &Arguments) -> Result<()> {
    let begun = Instant::now();
    let key = key_of(arguments)?;
    // Before the model is loaded: a port that is taken is told at once.
    let listener = listen(arguments)?;
    let loaded = load(arguments)?;
    let Loaded { name, model, tokenizer, adapter } = &loaded;
    let cache_bytes = (arguments.max_cache as usize) << 20;
    let room = room(arguments, model, cache_bytes)?;
    let limits = EngineLimits { batch: arguments.batch.into(), cache_bytes, grace: GRACE };
    let (door, inbox) = door(arguments.queue.into());
    let service = Service::new(name.clone(), model, tokenizer.clone(), room, door);
    let stops = end_on_signal("stopping: answers have ten seconds to end; Ctrl-C ends them now")?;
    let tally = Arc::new(Tally::default());
    let options = ServerOptions {
        key: key.clone(),
        client_time: Duration::from_secs(arguments.client_timeout.into()),
        grace: GRACE,
        log: logger(tally.clone(), arguments.quiet),
    };
    let address = listener.local_addr().map_err(|error| no_address(arguments, &error))?;
    let server = Server::new(listener, service, options, stops.clone())?;
    tell!("proxmo: serving {name} at http://{address}/v1, on {adapter}");
    if !arguments.host.is_loopback() && key.is_none() {
        tell!("proxmo: warning: anyone who reaches {address} may use the model: set --api-key-env");
    }
    let engine = Engine::new(model, tokenizer, limits, inbox);
    let (counts, worked) = thread::scope(|scope| {
        let served = scope.spawn(|| {
            let served = server.run();
            // Without connections, the engine has nothing to do either.
            stops.store(true, Ordering::Relaxed);
            served
        });
        let (counts, worked) = engine.work(&|| stops.load(Ordering::Relaxed));
        stops.store(true, Ordering::Relaxed);
        let served = served.join().unwrap_or_else(|_| Err(Error::Run("serving failed".into())));
        (counts, worked.and(served))
    });
    tell!("proxmo: {}", tally.summary(&counts, begun.elapsed()));
    worked
}

/// The key, if one is asked for.
fn key_of(arguments: &Arguments) -> Result<Option<String>> {
    let Some(name) = &arguments.api_key_env else { return Ok(None) };
    match std::env::var(name) {
        Ok(key) if !key.trim().is_empty() => Ok(Some(key.trim().to_string())),
        _ => {
            let message = format!("the environment variable {name} has no key");
            Err(Error::input("--api-key-env", message))
        }
    }
}

fn no_address(arguments: &Arguments, error: &std::io::Error) -> Error {
    let (host, port) = (arguments.host, arguments.port);
    Error::input("--port", format!("cannot listen on {host}, port {port}: {error}"))
}

fn listen(arguments: &Arguments) -> Result<TcpListener> {
    let bound = TcpListener::bind((arguments.host, arguments.port));
    bound.map_err(|error| no_address(arguments, &error))
}

/// A model that is served.
struct Loaded {
    name: String,
    model: Decoder,
    tokenizer: Arc<Tokenizer>,
    /// The name of the device.
    adapter: String,
}

fn load(arguments: &Arguments) -> Result<Loaded> {
    let source = &arguments.source;
    let opened = source.opened()?;
    let (known, model, tokenizer) = match (source.trained(&opened.device)?, &source.run) {
        (Some(TrainedModel { spec, model, .. }), Some(run)) => {
            (run.display().to_string(), model, Arc::new(spec.tokenizer()?))
        }
        _ => {
            let flags = source.flags();
            let tokenizer = flags.tokenizer()?.ok_or_else(|| {
                Error::input(flags.folder.name(), "has no tokenizer (tokenizer.json)")
            })?;
            (served_name(&flags)?, flags.decoder_on(&opened.device)?, Arc::new(tokenizer))
        }
    };
    let last = PathBuf::from(&known);
    let last = last.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = match (&arguments.name, source.run.is_some()) {
        (Some(name), _) => name.clone(),
        (None, true) => last.unwrap_or(known),
        (None, false) => known,
    };
    Ok(Loaded { name, model, tokenizer, adapter: opened.adapter.name })
}

/// The name of a folder without the path to it, or a name on the Hub as it is.
fn served_name(flags: &ModelFlags) -> Result<String> {
    let given = flags.folder.name();
    let path = std::path::Path::new(&given);
    if !path.exists() {
        return Ok(given);
    }
    let whole = path.canonicalize().map_err(Error::io("read", path))?;
    let name = whole.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(name.unwrap_or(given))
}

/// Tokens that a sequence may have.
fn room(arguments: &Arguments, model: &Decoder, cache_bytes: usize) -> Result<usize> {
    let (room, context) = (capacity(model, cache_bytes), model.config().context);
    if room == 0 {
        let message = format!("{} MB hold no sequence of this model", arguments.max_cache);
        return Err(Error::input("--max-cache", message));
    }
    if room < context {
        tell!(
            "proxmo: warning: --max-cache {} holds {room} tokens of a sequence, the model's context is \
             {context}",
            arguments.max_cache
        );
    }
    Ok(room)
}

/// Requests at their ends.
#[derive(Debug, Default)]
struct Tally {
    requests: AtomicUsize,
    refused: AtomicUsize,
    left: AtomicUsize,
}

impl Tally {
    fn summary(&self, counts: &Counts, time: Duration) -> String {
        let number = |one: &AtomicUsize| one.load(Ordering::Relaxed);
        format!(
            "{} requests ({} refused, {} left by their clients), {} sequences, at most {} together; {} \
             tokens read, {} written in {:.0} s",
            number(&self.requests),
            number(&self.refused),
            number(&self.left),
            counts.sequences,
            counts.most_together,
            counts.prompt_tokens,
            counts.tokens,
            time.as_secs_f64()
        )
    }
}

/// Counts requests, and tells them unless it is to be quiet.
fn logger(tally: Arc<Tally>, is_quiet: bool) -> crate::serve::Log {
    Arc::new(move |entry: &Entry| {
        tally.requests.fetch_add(1, Ordering::Relaxed);
        let is_refused = entry.status.is_some_and(|status| status >= 400);
        if is_refused {
            tally.refused.fetch_add(1, Ordering::Relaxed);
        } else if !entry.is_whole {
            tally.left.fetch_add(1, Ordering::Relaxed);
        }
        if is_quiet {
            return;
        }
        let Entry { peer, method, path, status, tokens: [prompt, answer], time, .. } = entry;
        let end = match status {
            Some(status) if entry.is_whole || is_refused => status.to_string(),
            _ => "left".into(),
        };
        tell!("{peer} {method} {path} {end} {prompt}+{answer} tokens {:.2} s", time.as_secs_f64());
    })
}
