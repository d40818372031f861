//! The simulated Perseus of a run: it checks every request, injects faults by the schedule, and keeps a ledger of commits.
//!
//! The outcome of a request is drawn from the seed and the request's own name (its invocation, its records, the number
//! of the attempt). So it does not depend on other requests.

mod counters;
mod exchange;
mod journal;
mod ledger;
mod records;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};
use rand::RngExt;

use self::journal::Journal;
pub(crate) use self::{
    counters::Counters,
    exchange::RequestEnd,
    journal::{DeliveryAttempts, Findings},
};
pub use self::{
    exchange::{ClientView, Exchange, ReplyKind},
    ledger::{Committed, Repeat},
};
use crate::{
    clock::{Clock, Ms},
    faults::{Ending, FaultSchedule, RequestOutcome},
    lambda::{cost, processor::Processors},
    seeded_rng::SeededRng,
    server::{ConnectionHandle, Cut, PortSwitch, Server},
    traffic::messages::Messages,
};

const PATH: &str = "/ingest";
/// A query parameter that says which environment a connection belongs to. The real Perseus has no such thing.
const ENVIRONMENT: &str = "environment=";

/// The server.
#[derive(Debug)]
pub(crate) struct SimulatedPerseus {
    server: Server,
    shared: Arc<Shared>,
}

/// What the connections share with the handle.
#[derive(Debug)]
struct Shared {
    clock: Clock,
    seeded: SeededRng,
    faults: FaultSchedule,
    messages: Messages,
    processors: Processors,
    journal: Mutex<Journal>,
    handles: Mutex<HashMap<u32, Vec<ConnectionHandle>>>,
}

/// A request that has not ended. It is dropped early if its client hangs up.
struct Open<'a> {
    shared: &'a Shared,
    exchange: u32,
    handle: ConnectionHandle,
    ended: bool,
}

impl SimulatedPerseus {
    pub(crate) async fn start(
        clock: Clock,
        seeded: SeededRng,
        faults: FaultSchedule,
        messages: Messages,
        processors: Processors,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            clock,
            seeded,
            faults,
            messages,
            processors,
            journal: Mutex::default(),
            handles: Mutex::default(),
        });
        let routes = Router::new().fallback(ingest).with_state(Arc::clone(&shared));
        let server = Server::start(routes).await?;
        tokio::spawn(close_during_outages(server.port_switch(), clock, shared.faults.closed()));
        Ok(Self { server, shared })
    }

    /// What to set `PERSEUS_URL` to in an environment.
    pub(crate) fn url(&self, environment: u32) -> String {
        format!("http://{}{PATH}?{ENVIRONMENT}{environment}", self.server.address())
    }

    /// Cuts connections of an environment as if they had died while it was frozen, each with this probability.
    pub(crate) fn thaw(&self, environment: u32, loss: f64, seeded: SeededRng) {
        let mut handles = self.shared.handles();
        let Some(handles) = handles.get_mut(&environment) else { return };
        handles.retain(|handle| !handle.is_over());
        let mut rng = seeded.rng();
        for handle in handles.iter().filter(|_| loss > 0.0) {
            if rng.random_bool(loss) {
                handle.cut([Cut::Reset, Cut::Close, Cut::Silence][rng.random_range(0..3)]);
            }
        }
    }

    /// Forgets an environment that is gone.
    pub(crate) fn forget(&self, environment: u32) {
        self.shared.handles().remove(&environment);
    }

    /// What happened since the last call.
    pub(crate) fn counters(&self) -> Counters {
        self.shared.journal().take_counters()
    }

    /// Whether a message was committed so far.
    pub(crate) fn is_committed(&self, number: u32) -> bool {
        self.shared.journal().ledger.committed(number).is_some()
    }

    /// The attempts at this message in this invocation, its latest.
    pub(crate) fn delivery_attempts(&self, message: u32, invocation: u32) -> DeliveryAttempts {
        self.shared.journal().delivery_attempts(message, invocation)
    }

    /// Notes when the next message was sent.
    pub(crate) fn sent(&self, now: Ms) {
        self.shared.journal().sent(now);
    }

    /// Ends the server and returns everything it recorded.
    pub(crate) fn close(self) -> Findings {
        self.shared.journal().take_findings()
    }
}

impl Shared {
    /// A poisoned lock is fine: its holder leaves nothing half-done.
    fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handles(&self) -> MutexGuard<'_, HashMap<u32, Vec<ConnectionHandle>>> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self, environment: u32, handle: &ConnectionHandle) {
        let mut handles = self.handles();
        let handles: &mut Vec<ConnectionHandle> = handles.entry(environment).or_default();
        if !handles.iter().any(|known| known.is_same(handle)) {
            handles.push(handle.clone());
        }
    }

    fn receive(
        &self,
        head: Parts,
        body: Bytes,
        environment: Option<u32>,
        handle: ConnectionHandle,
    ) -> (Open<'_>, RequestOutcome) {
        let (exchange, outcome, cost) = self.journal().receive(
            head.headers,
            body,
            self.clock.now(),
            &self.messages,
            &self.faults,
            self.seeded,
        );
        self.charge(environment, cost);
        (Open { shared: self, exchange, handle, ended: false }, outcome)
    }

    /// Charges the environment that sent a request.
    fn charge(&self, environment: Option<u32>, cost: Duration) {
        if let Some(environment) = environment {
            self.processors.charge(environment, cost);
        }
    }
}

impl Open<'_> {
    /// Commits the records that are not committed yet.
    fn commit(&self) {
        self.shared.journal().commit(self.exchange, self.shared.clock.now());
    }

    fn end(mut self, end: RequestEnd, is_definite: bool) {
        self.ended = true;
        self.shared.journal().end(self.exchange, self.shared.clock.now(), end, is_definite);
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let end = if self.handle.is_cut() { RequestEnd::Cut } else { RequestEnd::HungUp };
            self.shared.journal().end(self.exchange, self.shared.clock.now(), end, false);
        }
    }
}

/// The environment that a request comes from.
fn environment(head: &Parts) -> Option<u32> {
    head.uri.query()?.strip_prefix(ENVIRONMENT)?.parse().ok()
}

async fn ingest(
    State(shared): State<Arc<Shared>>,
    Extension(handle): Extension<ConnectionHandle>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        // The client hung up during the upload. A client that keeps its deadline does that.
        return StatusCode::BAD_REQUEST.into_response();
    };
    if head.method != http::Method::POST || head.uri.path() != PATH {
        shared.journal().misdirected(&head);
        return StatusCode::OK.into_response();
    }
    let environment = environment(&head);
    if let Some(environment) = environment {
        shared.connect(environment, &handle);
    }
    let (open, outcome) = shared.receive(head, body, environment, handle.clone());
    commit_later(&shared, &open, &outcome);
    if !outcome.replies_after.is_zero() {
        tokio::time::sleep(outcome.replies_after).await;
    }
    open.commit();
    let cut = match outcome.ending {
        Ending::Reply => {
            open.end(RequestEnd::Status(outcome.reply.status_code()), outcome.is_definite);
            shared.charge(environment, cost::reply(outcome.reply.body_bytes()));
            return outcome.reply.into_response();
        }
        Ending::Reset => Cut::Reset,
        Ending::Close => Cut::Close,
        Ending::NoHttp => Cut::NoHttp,
        // Such a request ends when its client hangs up.
        Ending::Silence => std::future::pending().await,
    };
    open.end(RequestEnd::Cut, false);
    handle.cut(cut);
    std::future::pending().await
}

/// Closes the port during outages with refused connections.
async fn close_during_outages(port_switch: PortSwitch, clock: Clock, closed: Vec<(Ms, Ms)>) {
    for (from, until) in closed {
        tokio::time::sleep_until(clock.at(from)).await;
        port_switch.close();
        tokio::time::sleep_until(clock.at(until)).await;
        port_switch.open();
    }
}

/// Commits in a task of its own: a server notices only at its answer that the client has hung up.
fn commit_later(shared: &Arc<Shared>, open: &Open<'_>, outcome: &RequestOutcome) {
    if outcome.commits_after.is_zero() {
        return open.commit();
    }
    let (shared, exchange, after) = (Arc::clone(shared), open.exchange, outcome.commits_after);
    tokio::spawn(async move {
        tokio::time::sleep(after).await;
        shared.journal().commit(exchange, shared.clock.now());
    });
}
