//! The sessions of a server that this process holds.
//!
//! A server allows few sessions, so those of all environments of one server come from one pool. A session
//! plays one episode after the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use super::address::Address;
use super::link::{Link, Reply};
use super::trust::Trust;
use crate::env::openenv::wire::code;
use crate::env::process::{TimeLimit, lock};

/// How often sockets answer the server's questions whether this side is alive. Servers ask every 20
/// seconds and wait for as long.
const PUMP: Duration = Duration::from_secs(4);

/// How long a full server is left alone before the next try.
const RETRY: Duration = Duration::from_millis(50);

/// A socket that is shared with the thread that keeps it alive.
type Shared = Arc<Mutex<Link>>;

/// A server.
pub(super) struct Server {
    pub(super) address: Address,
    /// The authorities that may sign its certificate, if it is an encrypted one.
    pub(super) trust: Option<Trust>,
}

/// The sessions of a server.
pub(super) struct Pool {
    pub(super) server: Server,
    pub(super) limit: TimeLimit,
    sessions: Mutex<Sessions>,
    freed: Condvar,
    /// Whether the number of sessions was told.
    is_told: AtomicBool,
    /// The settings that environments must share to share a pool.
    wanted: usize,
    seconds: u64,
}

struct Sessions {
    idle: Vec<Shared>,
    /// All sockets that are kept alive.
    open: Vec<Weak<Mutex<Link>>>,
    /// Number of sessions that are in use.
    used: usize,
    /// Number of sessions at a time.
    most: usize,
}

/// All pools of this process.
static POOLS: Mutex<Vec<Weak<Pool>>> = Mutex::new(Vec::new());

/// A session in use. It goes back to the pool when this is dropped.
pub(super) struct Seat {
    pub(super) pool: Arc<Pool>,
    /// `None` only while this is dropped.
    link: Option<Shared>,
}

/// Why there is no session.
enum NoLink {
    /// The server is full, and allows this many if it tells.
    Full(Option<u64>),
    Failed(String),
}

impl Server {
    fn is_same(&self, other: &Self) -> bool {
        let is_trust_same = match (&self.trust, &other.trust) {
            (Some(own), Some(other)) => own.is_same(other),
            (own, other) => own.is_none() && other.is_none(),
        };
        self.address == other.address && is_trust_same
    }
}

impl Pool {
    /// The pool of a server. The first environment of a server finds out how many sessions it allows.
    pub(super) fn of(server: Server, wanted: usize, seconds: f64) -> Result<Arc<Self>, String> {
        let mut pools = lock(&POOLS);
        pools.retain(|pool| pool.strong_count() > 0);
        let is_same = |pool: &Arc<Self>| {
            pool.server.is_same(&server)
                && pool.wanted == wanted
                && pool.seconds == seconds.to_bits()
        };
        if let Some(known) = pools.iter().filter_map(Weak::upgrade).find(is_same) {
            return Ok(known);
        }
        let sessions = Sessions { idle: Vec::new(), open: Vec::new(), used: 0, most: wanted };
        let pool = Arc::new(Self {
            server,
            limit: TimeLimit::new(seconds),
            sessions: Mutex::new(sessions),
            freed: Condvar::new(),
            is_told: AtomicBool::new(false),
            wanted,
            seconds: seconds.to_bits(),
        });
        pool.fill()?;
        let weak = Arc::downgrade(&pool);
        let kept = weak.clone();
        let thread = thread::Builder::new().name("openenv".into());
        let spawned = thread.spawn(move || keep_alive(&kept));
        spawned.map_err(|error| format!("there is no thread for sessions: {error}"))?;
        pools.push(weak);
        Ok(pool)
    }

    /// Opens all sessions that the server allows.
    fn fill(&self) -> Result<(), String> {
        for opened in 0..self.wanted {
            match self.connect() {
                Ok(link) => lock(&self.sessions).idle.push(link),
                Err(NoLink::Full(most)) if opened == 0 => {
                    let allows = most.map(|most| format!(" (it allows {most})"));
                    return Err(format!(
                        "{} has no free session{}; end its other clients, or start it with a larger \
                         max_concurrent_envs",
                        self.server.address.shown(),
                        allows.unwrap_or_default()
                    ));
                }
                Err(NoLink::Full(_)) => {
                    lock(&self.sessions).most = opened;
                    break;
                }
                Err(NoLink::Failed(message)) => return Err(message),
            }
        }
        Ok(())
    }

    /// Whether the user is to be told the number of sessions, which is the case once.
    pub(super) fn is_to_be_told(&self) -> bool {
        !self.is_told.swap(true, Ordering::Relaxed)
    }

    /// Number of sessions at a time.
    pub(super) fn most(&self) -> usize {
        lock(&self.sessions).most
    }

    /// Number of sessions that nothing uses.
    pub(super) fn free(&self) -> usize {
        let sessions = lock(&self.sessions);
        sessions.most.saturating_sub(sessions.used)
    }

    /// Opens a session, and learns whether the server has a place for it.
    fn connect(&self) -> Result<Shared, NoLink> {
        let Server { address, trust } = &self.server;
        let link = Link::connect(address, trust.as_ref(), self.limit.get());
        let mut link = link.map_err(NoLink::Failed)?;
        // If the server has ended the connection already, what it said is still to be read.
        let _ = link.send(&json!({ "type": "state" }));
        match link.receive(self.limit.get()) {
            Ok(Reply::Refusal { code, max_sessions, .. }) if code == code::CAPACITY_REACHED => {
                Err(NoLink::Full(max_sessions))
            }
            // Some environments have no state before the first reset.
            Ok(Reply::Refusal { code, .. }) if code == code::EXECUTION_ERROR => {
                Ok(self.share(link))
            }
            Ok(Reply::Refusal { message, .. }) => {
                Err(NoLink::Failed(format!("{} says: {message}", self.server.address.shown())))
            }
            Ok(_) => Ok(self.share(link)),
            Err(message) => Err(NoLink::Failed(message)),
        }
    }

    fn share(&self, link: Link) -> Shared {
        let link = Arc::new(Mutex::new(link));
        lock(&self.sessions).open.push(Arc::downgrade(&link));
        link
    }

    /// Takes a session. Waits for one as long as for an answer, unless `waits` is false.
    pub(super) fn take(self: &Arc<Self>, waits: bool) -> Result<Seat, String> {
        let begun = Instant::now();
        let is_late = || !waits || self.limit.get().is_some_and(|limit| begun.elapsed() >= limit);
        let mut sessions = lock(&self.sessions);
        while sessions.used >= sessions.most {
            if is_late() {
                let most = sessions.most;
                return Err(format!(
                    "all {most} sessions of {} are in use",
                    self.server.address.shown()
                ));
            }
            let waited = self.freed.wait_timeout(sessions, RETRY);
            sessions = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        sessions.used += 1;
        drop(sessions);
        // Counts the session as unused again if none can be opened.
        let mut seat = Seat { pool: self.clone(), link: None };
        loop {
            let idle = lock(&self.sessions).idle.pop();
            if let Some(link) = idle {
                let is_usable = {
                    let mut link = lock(&link);
                    link.pump();
                    link.is_usable()
                };
                if is_usable {
                    seat.link = Some(link);
                    return Ok(seat);
                }
                continue;
            }
            match self.connect() {
                Ok(link) => {
                    seat.link = Some(link);
                    return Ok(seat);
                }
                Err(NoLink::Failed(message)) => return Err(message),
                // The server may still be ending a session that was lost.
                Err(NoLink::Full(_)) if !is_late() => thread::sleep(RETRY),
                Err(NoLink::Full(_)) => {
                    return Err(format!("{} has no free session", self.server.address.shown()));
                }
            }
        }
    }
}

impl Seat {
    /// The socket, for as long as the guard lives.
    pub(super) fn link(&self) -> Result<MutexGuard<'_, Link>, String> {
        self.link.as_deref().map(lock).ok_or_else(|| "the session has ended".into())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // A socket that owes an answer is closed rather than used for another episode.
        let kept = self.link.take().filter(|link| lock(link).is_usable());
        let mut sessions = lock(&self.pool.sessions);
        sessions.used -= 1;
        sessions.idle.extend(kept);
        drop(sessions);
        self.pool.freed.notify_one();
    }
}

/// Keeps the sockets of a pool alive until the pool is dropped.
fn keep_alive(pool: &Weak<Pool>) {
    loop {
        // In parts, so that the thread ends soon after its pool.
        for _ in 0..8 {
            thread::sleep(PUMP / 8);
            if pool.strong_count() == 0 {
                return;
            }
        }
        let Some(pool) = pool.upgrade() else { return };
        let open: Vec<Shared> = {
            let mut sessions = lock(&pool.sessions);
            sessions.open.retain(|link| link.strong_count() > 0);
            sessions.open.iter().filter_map(Weak::upgrade).collect()
        };
        for link in open {
            // One that is in use reads by itself.
            if let Ok(mut link) = link.try_lock() {
                link.pump();
            }
        }
    }
}
