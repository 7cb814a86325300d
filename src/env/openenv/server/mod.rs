//! A server of an environment in OpenEnv's form.
//!
//! One thread serves HTTP; each session has a WebSocket and a thread of its own, as a step may take
//! long. A session is played by one client, so nothing is shared between sessions but the environment.

mod catalogue;
mod routes;
mod seats;
mod session;
mod socket;

use std::fmt;
use std::net::TcpListener;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::runtime;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use self::catalogue::Catalogue;
use self::routes::{CLIENT_TIME, respond};
use self::seats::Seats;
use self::socket::Hall;
use crate::env::environment::Environment;
use crate::error::{Error, Result};

/// How long the server waits for a connection before it looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(50);

/// How long sessions may take to end after the server is told to stop.
const GRACE: Duration = Duration::from_secs(2);

/// Requests at a time that are no sessions. Further connections are closed at once.
const MAX_REQUESTS: usize = 128;

/// How a server treats its clients.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Number of sessions at a time. Further ones are refused with `CAPACITY_REACHED`.
    pub max_sessions: usize,
    /// How long a session may say nothing before it is ended.
    pub idle: Duration,
}

/// A server of an environment in OpenEnv's form.
pub struct OpenEnvServer {
    listener: TcpListener,
    hall: Arc<Hall>,
}

impl fmt::Debug for OpenEnvServer {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.debug_struct("OpenEnvServer").field("listener", &self.listener).finish_non_exhaustive()
    }
}

impl OpenEnvServer {
    /// A server that listens. It stops when `stops` is set.
    pub fn new(
        listener: TcpListener,
        environment: Arc<dyn Environment>,
        options: &ServerOptions,
        stops: Arc<AtomicBool>,
    ) -> Self {
        let catalogue = Arc::new(Catalogue::new(environment));
        let seats = Arc::new(Seats::new(options.max_sessions));
        let hall = Hall { catalogue, seats, idle: options.idle, stops };
        Self { listener, hall: Arc::new(hall) }
    }

    /// Serves until it is to stop. Returns the number of sessions that were played.
    ///
    /// # Errors
    /// Returns an error if the system refuses.
    pub fn run(self) -> Result<usize> {
        let failed = |error: std::io::Error| Error::Run(format!("cannot serve: {error}"));
        self.listener.set_nonblocking(true).map_err(failed)?;
        let mut builder = runtime::Builder::new_current_thread();
        let runtime = builder.enable_io().enable_time().build().map_err(failed)?;
        let seats = self.hall.seats.clone();
        let served = runtime.block_on(accept(self.listener, self.hall));
        runtime.shutdown_timeout(Duration::from_secs(1));
        served.map_err(failed)?;
        let told = Instant::now();
        while seats.taken() > 0 && told.elapsed() < GRACE {
            std::thread::sleep(LOOK);
        }
        Ok(seats.served())
    }
}

async fn accept(listener: TcpListener, hall: Arc<Hall>) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let requests = Arc::new(Semaphore::new(MAX_REQUESTS));
    while !hall.stops.load(Ordering::Relaxed) {
        let stream = match timeout(LOOK, listener.accept()).await {
            Ok(Ok((stream, _))) => stream,
            // The connection was lost, or there are too many open files: others may go on.
            Ok(Err(_)) => {
                sleep(LOOK).await;
                continue;
            }
            Err(_) => continue,
        };
        let Ok(permit) = requests.clone().try_acquire_owned() else { continue };
        let hall = hall.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request| respond(request, hall.clone()));
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(CLIENT_TIME);
            let connection = builder.serve_connection(TokioIo::new(stream), answer);
            // Errors are the client's loss alone. A session's connection goes on elsewhere.
            let _ = pin!(connection.with_upgrades()).await;
            drop(permit);
        });
    }
    Ok(())
}
