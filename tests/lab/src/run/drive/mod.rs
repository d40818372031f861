//! The loop of a run: it sends messages, invokes the function with batches, and settles them, until the queue is empty.
//!
//! One loop owns the queue, the mapping and the fleet. So nothing is locked, and there is one order of events. Only
//! invocations and Perseus run beside it.

mod breaker;
mod finish;
mod settle;
mod sqs_calls;

use self::breaker::Breaker;
pub(crate) use self::finish::FinishedRun;
use std::{
    collections::{HashMap, HashSet},
    io,
    sync::Arc,
};

use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use crate::{
    clock::{Clock, Ms, span},
    lambda::{
        fleet::{self, Done, Fleet, Job, LaunchError, Launcher},
        mapping::Mapping,
        processor::Processors,
    },
    run::history::{End, Invocation, UnexpectedIds},
    run::series::{Recorder, Snapshot},
    scenario::Plan,
    simulated_perseus::SimulatedPerseus,
    sqs::{
        api::{SqsApi, SqsRequest},
        queue::{Delivery, Number, Queue},
    },
    traffic::{Arrivals, messages::Messages},
};

/// Why a run could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// No port for Perseus.
    #[error("no loopback port for Perseus")]
    Port(#[from] io::Error),
    /// The function does not start.
    #[error("the function does not start")]
    Launcher(#[from] LaunchError),
}

/// The progress of a run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Messages that are to be sent.
    pub planned: u32,
    /// Messages sent.
    pub sent: u32,
    /// Messages deleted.
    pub deleted: u32,
    /// Messages in the dead-letter queue.
    pub dead: u32,
    /// Messages in the queue, in flight or not.
    pub queued: u32,
    /// Invocations running.
    pub running: usize,
    /// Invocations that are over.
    pub invocations: usize,
}

/// How the caller stops a run and watches it.
pub(crate) struct Controls<'a> {
    /// Set when no more messages are to be sent.
    pub(crate) stop: watch::Receiver<bool>,
    /// Told of every change.
    pub(crate) progress: &'a dyn Fn(Progress),
}

/// A run under way.
struct Drive {
    plan: Plan,
    clock: Clock,
    messages: Messages,
    arrivals: Arrivals,
    queue: Queue,
    mapping: Mapping,
    fleet: Fleet,
    processors: Processors,
    perseus: SimulatedPerseus,
    sqs: SqsApi,
    sqs_requests: mpsc::UnboundedReceiver<SqsRequest>,
    breaker: Breaker,
    /// Calls to AWS that broke its APIs, in words.
    violations: Vec<String>,
    launcher: Arc<Launcher>,
    running: JoinSet<Result<Done, LaunchError>>,
    batches: HashMap<u32, Vec<Delivery>>,
    invocations: Vec<Invocation>,
    /// When each message that is back in the queue was returned.
    returned: HashMap<Number, Ms>,
    waits: Vec<(u16, Ms)>,
    /// The environments that were in an outage and have not noticed its end.
    after_outage: HashSet<u32>,
    /// What the run knows of each message beyond the queue.
    notes: Vec<MessageNotes>,
    recorder: Recorder,
    stopped: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct MessageNotes {
    excused_receives: u16,
    probed: u16,
    redelivered: bool,
    deleted_too_early: bool,
    dead_lettered: bool,
    dead_lettered_in: Option<u32>,
}

/// Runs a plan to its end.
pub(crate) async fn run(
    plan: Plan,
    launcher: Launcher,
    controls: Controls<'_>,
) -> Result<FinishedRun, DriveError> {
    let mut drive = Drive::new(plan, launcher).await?;
    let Controls { mut stop, progress } = controls;
    loop {
        let now = drive.clock.now();
        drive.advance(now);
        progress(drive.progress());
        if drive.is_over(now) {
            break;
        }
        let wake = drive.clock.at(drive.next_change(now));
        tokio::select! {
            biased;
            Some(done) = drive.running.join_next() => drive.settle(done.expect("no invocation panics")?),
            Some(request) = drive.sqs_requests.recv() => drive.answer(request),
            Some(done) = drive.breaker.running.join_next() => {
                drive.settle_probe(done.expect("no run of the prober panics")?);
            }
            Some(request) = drive.breaker.requests.recv() => drive.answer_lambda(request),
            Ok(()) = stop.changed() => drive.stop(),
            () = tokio::time::sleep_until(wake) => {}
        }
    }
    Ok(drive.finish())
}

impl Drive {
    async fn new(plan: Plan, launcher: Launcher) -> io::Result<Self> {
        let seeded = plan.seeded;
        let clock = Clock::start();
        let messages = Messages::new(seeded.fork(1_u64), plan.message.clone());
        let processors = Processors::new(plan.memory_mb);
        let perseus = SimulatedPerseus::start(
            clock,
            seeded.fork(2_u64),
            plan.faults.clone(),
            messages.clone(),
            processors.clone(),
        )
        .await?;
        let (sqs, sqs_requests) =
            SqsApi::start(clock, seeded.fork(8_u64), plan.faults.sqs, processors.clone()).await?;
        Ok(Self {
            clock,
            arrivals: Arrivals::new(&plan.traffic, seeded.fork(3_u64)),
            queue: Queue::new(plan.queue.clone(), seeded.fork(4_u64)),
            mapping: Mapping::new(plan.mapping.clone()),
            fleet: Fleet::new(plan.fleet.clone(), seeded.fork(5_u64)),
            recorder: Recorder::new(plan.traffic.over),
            processors,
            messages,
            perseus,
            sqs,
            sqs_requests,
            breaker: Breaker::start(&plan, clock).await?,
            violations: Vec::new(),
            launcher: Arc::new(launcher),
            running: JoinSet::new(),
            batches: HashMap::new(),
            invocations: Vec::new(),
            returned: HashMap::new(),
            waits: Vec::new(),
            after_outage: HashSet::new(),
            notes: Vec::new(),
            stopped: false,
            plan,
        })
    }

    /// Sends no more messages, and lets the run end once the queue had time to become empty.
    fn stop(&mut self) {
        self.stopped = true;
        let drained = self.plan.queue.drain_time();
        self.plan.give_up = self.plan.give_up.min(self.clock.now().saturating_add(drained));
    }

    /// Does everything that is due.
    fn advance(&mut self, now: Ms) {
        if !self.stopped {
            for _ in 0..self.arrivals.due(now) {
                let number = Number::try_from(self.notes.len()).unwrap_or(Number::MAX);
                self.queue.send(self.messages.group(number), now);
                self.perseus.sent(now);
                self.notes.push(MessageNotes::default());
            }
        }
        self.queue.release(now);
        self.advance_breaker(now);
        while now < self.plan.give_up
            && self.breaker.switch.state().receives()
            && let Some(batch) = self.mapping.next_batch(&mut self.queue, self.running.len(), now)
        {
            self.invoke(batch, now);
        }
        if now >= self.recorder.next() {
            self.record(now);
        }
    }

    /// When something is due next even if no invocation ends.
    fn next_change(&self, now: Ms) -> Ms {
        let arrival = self.arrivals.next().filter(|_| !self.stopped);
        let receives = now < self.plan.give_up && self.breaker.switch.state().receives();
        let batch = self.mapping.next_change(self.running.len()).filter(|_| receives);
        let changes = [arrival, self.queue.next_visible(), batch, self.breaker.next_change()];
        let next = changes.into_iter().flatten().min().unwrap_or(Ms::MAX);
        next.min(self.recorder.next()).max(now + 1)
    }

    fn is_over(&self, now: Ms) -> bool {
        let all_sent = self.stopped || self.arrivals.next().is_none();
        all_sent && !self.is_busy() && (self.queue.is_empty() || now >= self.plan.give_up)
    }

    fn is_busy(&self) -> bool {
        !self.running.is_empty() || !self.breaker.running.is_empty()
    }

    fn invoke(&mut self, batch: Vec<Delivery>, now: Ms) {
        let number = u32::try_from(self.invocations.len()).unwrap_or(u32::MAX);
        let (instance, gone) = self.fleet.take(now);
        gone.iter().for_each(|instance| self.forget(instance.id));
        let seeded = self.plan.seeded.fork(6_u64).fork(number);
        self.perseus.thaw(instance.id, self.fleet.frozen_loss(), seeded);
        let (environment, timeout) = (instance.id, span(self.plan.timeout));
        let job = Job {
            number,
            event: self.messages.event(&batch),
            records: batch.len(),
            timeout,
            injected_fault: self.fleet.injected_fault(number, timeout),
            cold_start: self.fleet.cold_start(&instance),
            endpoints: self.endpoints(instance.id),
            processors: self.processors.clone(),
            instance,
        };
        for delivery in &batch {
            let message = delivery.receipt.message;
            self.notes[message as usize].redelivered |= delivery.is_copy;
            let returned = self.returned.remove(&message);
            self.waits.extend(returned.map(|at| (delivery.receives - 1, now.saturating_sub(at))));
        }
        self.invocations.push(Invocation {
            environment,
            started: now,
            took: 0,
            messages: u32::try_from(batch.len()).unwrap_or(u32::MAX),
            kept: 0,
            given_up: 0,
            end: End::TimedOut,
            headroom: 0,
            unexpected_ids: UnexpectedIds::default(),
        });
        self.batches.insert(number, batch);
        let (launcher, clock) = (Arc::clone(&self.launcher), self.clock);
        self.running.spawn(async move { fleet::invoke(job, &launcher, clock).await });
    }

    /// Forgets an environment that is gone.
    fn forget(&self, environment: u32) {
        self.perseus.forget(environment);
        self.processors.forget(environment);
    }

    fn record(&mut self, now: Ms) {
        let snapshot = Snapshot {
            counts: self.queue.counts(),
            running: self.running.len(),
            outage: self.plan.faults.outage(now).is_some(),
        };
        self.recorder.record(now, &self.perseus.counters(), snapshot);
    }

    fn progress(&self) -> Progress {
        let counts = self.queue.counts();
        Progress {
            planned: self.plan.traffic.messages,
            sent: u32::try_from(self.notes.len()).unwrap_or(u32::MAX),
            deleted: counts.deleted,
            dead: counts.dead,
            queued: counts.visible + counts.in_flight,
            running: self.running.len(),
            invocations: self.invocations.len() - self.running.len(),
        }
    }
}
