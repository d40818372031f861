//! A Perseus that misbehaves on a seed: the stand-in's checks, a climate's faults, and a ledger of what was committed.
//!
//! What comes of a request is drawn under its own name (its invocation, its records, which attempt it is), so that it does
//! not depend on what else is going on.

mod book;
mod exchange;
mod ledger;
mod tally;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    Extension, Router,
    body::Bytes,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};
use rand::RngExt;

use self::book::Book;
pub(crate) use self::{
    book::{Findings, Trials},
    exchange::Outcome,
    tally::Tally,
};
pub use self::{
    exchange::{Exchange, Heard, Said},
    ledger::{Committed, Repeat},
};
use crate::{
    clock::{Clock, Ms},
    dice::Dice,
    message::Messages,
    server::{Cut, Door, Line, Server},
    weather::{Climate, Ending, Fate},
};

const PATH: &str = "/ingest";
/// Tells which environment a connection belongs to; Perseus itself would not care.
const ENVIRONMENT: &str = "environment=";

/// The server.
#[derive(Debug)]
pub(crate) struct Ingest {
    server: Server,
    desk: Arc<Desk>,
}

/// What the connections share with the handle.
#[derive(Debug)]
struct Desk {
    clock: Clock,
    dice: Dice,
    climate: Climate,
    messages: Messages,
    book: Mutex<Book>,
    lines: Mutex<HashMap<u32, Vec<Line>>>,
}

/// A request that has not ended. Whoever drops it has lost its client.
struct Open<'a> {
    desk: &'a Desk,
    exchange: u32,
    line: Line,
    ended: bool,
}

impl Ingest {
    pub(crate) async fn start(
        clock: Clock,
        dice: Dice,
        climate: Climate,
        messages: Messages,
    ) -> io::Result<Self> {
        let desk = Arc::new(Desk {
            clock,
            dice,
            climate,
            messages,
            book: Mutex::default(),
            lines: Mutex::default(),
        });
        let routes = Router::new().fallback(ingest).with_state(Arc::clone(&desk));
        let server = Server::start(routes).await?;
        tokio::spawn(mind_the_door(server.door(), clock, desk.climate.closed()));
        Ok(Self { server, desk })
    }

    /// What to set `PERSEUS_URL` to in an environment.
    pub(crate) fn url(&self, environment: u32) -> String {
        format!("http://{}{PATH}?{ENVIRONMENT}{environment}", self.server.address())
    }

    /// Lets connections of an environment have died while it was frozen, each with this probability.
    pub(crate) fn thaw(&self, environment: u32, loss: f64, dice: Dice) {
        let mut lines = self.desk.lines();
        let Some(lines) = lines.get_mut(&environment) else { return };
        lines.retain(|line| !line.is_over());
        let mut rng = dice.roll();
        for line in lines.iter().filter(|_| loss > 0.0) {
            if rng.random_bool(loss) {
                line.cut([Cut::Reset, Cut::Close, Cut::Silence][rng.random_range(0..3)]);
            }
        }
    }

    /// Forgets an environment that is gone.
    pub(crate) fn forget(&self, environment: u32) {
        self.desk.lines().remove(&environment);
    }

    /// What has happened since this was last asked.
    pub(crate) fn tally(&self) -> Tally {
        self.desk.book().take_tally()
    }

    /// What is looked at while the run goes on.
    pub(crate) fn is_committed(&self, number: u32) -> bool {
        self.desk.book().ledger.committed(number).is_some()
    }

    /// What became of this message in this invocation, its latest.
    pub(crate) fn trials(&self, message: u32, invocation: u32) -> Trials {
        self.desk.book().trials(message, invocation)
    }

    /// Notes when the next message was sent.
    pub(crate) fn sent(&self, now: Ms) {
        self.desk.book().sent(now);
    }

    /// Everything that was seen and done, and the end of it.
    pub(crate) fn close(self) -> Findings {
        self.desk.book().take_findings()
    }
}

impl Desk {
    /// Nothing is left half-done in the lock, so a panic of its holder does not matter.
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lines(&self) -> MutexGuard<'_, HashMap<u32, Vec<Line>>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(&self, head: &Parts, line: &Line) {
        let environment = head.uri.query().and_then(|query| query.strip_prefix(ENVIRONMENT)?.parse().ok());
        let Some(environment) = environment else { return };
        let mut lines = self.lines();
        let lines: &mut Vec<Line> = lines.entry(environment).or_default();
        if !lines.iter().any(|known| known.is_same(line)) {
            lines.push(line.clone());
        }
    }

    fn receive(&self, head: Parts, body: Bytes, line: Line) -> (Open<'_>, Fate) {
        let (exchange, fate) = self.book().receive(
            head.headers,
            body,
            self.clock.now(),
            &self.messages,
            &self.climate,
            self.dice,
        );
        (Open { desk: self, exchange, line, ended: false }, fate)
    }
}

impl Open<'_> {
    /// Commits now what has not been committed yet.
    fn commit(&self) {
        self.desk.book().commit(self.exchange, self.desk.clock.now());
    }

    fn end(mut self, outcome: Outcome, tells: bool) {
        self.ended = true;
        self.desk.book().end(self.exchange, self.desk.clock.now(), outcome, tells);
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if !self.ended {
            let outcome = if self.line.is_cut() { Outcome::Cut } else { Outcome::HungUp };
            self.desk.book().end(self.exchange, self.desk.clock.now(), outcome, false);
        }
    }
}

async fn ingest(
    State(desk): State<Arc<Desk>>,
    Extension(line): Extension<Line>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        // Cut off while uploading: what a client that keeps a deadline may do.
        return StatusCode::BAD_REQUEST.into_response();
    };
    if head.method != http::Method::POST || head.uri.path() != PATH {
        desk.book().astray(&head);
        return StatusCode::OK.into_response();
    }
    desk.connect(&head, &line);
    let (open, fate) = desk.receive(head, body, line.clone());
    commit_later(&desk, &open, &fate);
    if !fate.replies_after.is_zero() {
        tokio::time::sleep(fate.replies_after).await;
    }
    open.commit();
    let cut = match fate.ending {
        Ending::Reply => {
            open.end(Outcome::Status(fate.reply.status_code()), fate.tells);
            return fate.reply.into_response();
        }
        Ending::Reset => Cut::Reset,
        Ending::Close => Cut::Close,
        Ending::NoHttp => Cut::NoHttp,
        // What is silent ends with its client.
        Ending::Silence => std::future::pending().await,
    };
    open.end(Outcome::Cut, false);
    line.cut(cut);
    std::future::pending().await
}

/// Closes the port when Perseus is gone, and opens it when it is back.
async fn mind_the_door(door: Door, clock: Clock, closed: Vec<(Ms, Ms)>) {
    for (from, until) in closed {
        tokio::time::sleep_until(clock.at(from)).await;
        door.close();
        tokio::time::sleep_until(clock.at(until)).await;
        door.open();
    }
}

/// A server does not notice that a client has hung up until it answers: it goes on all the same.
fn commit_later(desk: &Arc<Desk>, open: &Open<'_>, fate: &Fate) {
    if fate.commits_after.is_zero() {
        return open.commit();
    }
    let (desk, exchange, after) = (Arc::clone(desk), open.exchange, fate.commits_after);
    tokio::spawn(async move {
        tokio::time::sleep(after).await;
        desk.book().commit(exchange, desk.clock.now());
    });
}
