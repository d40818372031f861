//! What surrounds the circuit breaker: the state of the mapping, Lambda's API, the prober's minute, an operator.

use std::io;

use rand::RngExt;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

use super::Drive;
use crate::{
    clock::{Clock, Ms, span},
    lambda::{
        api::{Call, LambdaAnswer, LambdaApi, LambdaRequest},
        fleet::{Endpoints, LaunchError, key},
        mapping::{Caller, State, Switch},
        operator::Operator,
        prober::{self, FIRST, ProbeEnd, ProberDone, ProberEnvironment, ProberJob, Schedule, Turn},
    },
    run::history::Probe,
    scenario::Plan,
    seeded_rng::SeededRng,
    sqs::{
        api::{SingleAnswer, SingleCall},
        queue::{Delivery, Refusal},
    },
};

/// The state of all that.
#[derive(Debug)]
pub(super) struct Breaker {
    seeded: SeededRng,
    pub(super) switch: Switch,
    api: LambdaApi,
    pub(super) requests: mpsc::UnboundedReceiver<LambdaRequest>,
    operator: Operator,
    /// None if there is no prober.
    schedule: Option<Schedule>,
    pub(super) running: JoinSet<Result<ProberDone, LaunchError>>,
    /// Ends the run of the prober after some calls.
    crash: Option<(u32, oneshot::Sender<()>)>,
    environment: Option<ProberEnvironment>,
    environments: u32,
    pub(super) probes: Vec<Probe>,
    /// The index of the run that is under way, or of the last one.
    current: usize,
}

impl Breaker {
    pub(super) async fn start(plan: &Plan, clock: Clock) -> io::Result<Self> {
        let seeded = plan.seeded.fork(13_u64);
        let (api, requests) =
            LambdaApi::start(clock, seeded.fork(1_u64), plan.faults.lambda, plan.queue.fifo).await?;
        let breaker = plan.breaker.as_ref();
        Ok(Self {
            seeded,
            switch: Switch::new(seeded.fork(2_u64)),
            api,
            requests,
            operator: breaker.map(|breaker| breaker.operator.clone()).unwrap_or_default(),
            schedule: breaker.map(|breaker| Schedule::new(breaker.prober, seeded.fork(3_u64))),
            running: JoinSet::new(),
            crash: None,
            environment: None,
            environments: 0,
            probes: Vec::new(),
            current: 0,
        })
    }

    /// What to set `AWS_ENDPOINT_URL_LAMBDA` to.
    pub(super) fn url(&self) -> String {
        self.api.url()
    }

    /// When something is due next.
    pub(super) fn next_change(&self) -> Option<Ms> {
        let schedule = self.schedule.as_ref().map(Schedule::next);
        [self.switch.next_change(), self.operator.next(), schedule].into_iter().flatten().min()
    }

    /// The run of the prober that is under way, or the last one.
    fn probe(&mut self) -> Option<&mut Probe> {
        self.probes.get_mut(self.current)
    }

    fn caller(&self, environment: u32) -> Caller {
        match environment {
            FIRST.. => Caller::Prober(self.probes.get(self.current).map_or(FIRST, |probe| probe.number)),
            _ => Caller::Forwarder(environment),
        }
    }

    /// Counts a call of the prober, which may be its last.
    fn count(&mut self, environment: u32) {
        if environment < FIRST {
            return;
        }
        match self.crash.take() {
            // It fails only if the run is over.
            Some((0 | 1, crash)) => _ = crash.send(()),
            Some((left, crash)) => self.crash = Some((left - 1, crash)),
            None => {}
        }
    }

    /// Notes a receive of the prober.
    fn note_receive(&mut self, batch: &[Delivery], now: Ms) {
        let mark = self.switch.mark().map(str::to_owned);
        let state = self.switch.state();
        let Some(probe) = self.probe() else { return };
        probe.found_none = batch.is_empty();
        probe.messages.extend(batch.iter().map(|delivery| (delivery.receipt.message, now)));
        if state != State::Disabled || mark.is_none() {
            probe.out_of_turn = Some(state);
        }
        probe.mark = probe.mark.take().or(mark);
    }
}

impl Drive {
    /// Does what is due at the mapping, and invokes the prober.
    pub(super) fn advance_breaker(&mut self, now: Ms) {
        let before = self.breaker.switch.state();
        self.breaker.switch.advance(now);
        self.breaker.operator.act(&mut self.breaker.switch, now);
        if before == State::Enabling && self.breaker.switch.state() == State::Enabled {
            self.mapping.restart(now);
        }
        while self.breaker.schedule.as_ref().is_some_and(|schedule| schedule.next() <= now) {
            let turn = self.breaker.schedule.as_mut().map(Schedule::take);
            match turn {
                // A run that takes longer than a minute has the next minute too.
                Some(Turn::Invoked(crash)) if self.breaker.running.is_empty() => self.probe(crash, now),
                _ => _ = self.note_probe(now, ProbeEnd::Missing),
            }
        }
    }

    fn note_probe(&mut self, now: Ms, end: ProbeEnd) -> u32 {
        let probes = &mut self.breaker.probes;
        let number = FIRST + u32::try_from(probes.len()).unwrap_or_default();
        probes.push(Probe {
            number,
            started: now,
            took: 0,
            end,
            messages: Vec::new(),
            deleted: Vec::new(),
            found_none: false,
            mark: None,
            out_of_turn: None,
            hindered: false,
        });
        number
    }

    fn probe(&mut self, crash: Option<u32>, now: Ms) {
        let number = self.note_probe(now, ProbeEnd::TimedOut);
        self.breaker.current = self.breaker.probes.len() - 1;
        let environment = self.breaker.environment.take();
        if environment.is_none() {
            self.breaker.environments += 1;
        }
        let id = FIRST + self.breaker.environments;
        let (least, most) = self.plan.fleet.cold_start;
        let cold_start = self.breaker.seeded.fork(4_u64).fork(id).rng().random_range(least..=most);
        let (sender, crashes) = oneshot::channel();
        // Without a crash the sender lives as long as the run, so that the receiver waits.
        self.breaker.crash = Some((crash.unwrap_or(u32::MAX), sender));
        let job = ProberJob {
            number,
            environment,
            cold_start: span(cold_start),
            timeout: span(self.plan.breaker.as_ref().map_or(0, |breaker| breaker.prober.timeout)),
            endpoints: self.endpoints(id),
            crash: crashes,
        };
        let (variables, fifo, clock) = (self.plan.variables.clone(), self.plan.queue.fifo, self.clock);
        self.breaker.running.spawn(async move { prober::run(job, &variables, fifo, clock).await });
    }

    /// The servers that an environment talks to.
    pub(super) fn endpoints(&self, environment: u32) -> Endpoints {
        Endpoints {
            perseus: self.perseus.url(environment),
            sqs: self.sqs.url(environment),
            lambda: self.breaker.url(),
            key: key(environment),
        }
    }

    /// Ends a run of the prober.
    pub(super) fn settle_probe(&mut self, done: ProberDone) {
        if let Some(probe) = self.breaker.probe() {
            probe.started = done.started;
            probe.took = done.took;
            probe.end = done.end;
        }
        self.breaker.environment = done.environment;
        self.breaker.crash = None;
    }

    /// Answers a call to Lambda's API.
    pub(super) fn answer_lambda(&mut self, request: LambdaRequest) {
        match request {
            LambdaRequest::Apply(environment, call, answer) => {
                let outcome = self.change_mapping(environment, call);
                // The call is done even if the caller no longer waits for the answer.
                let _ = answer.send(outcome);
                self.breaker.count(environment);
            }
            LambdaRequest::Fault(environment) => self.note_fault(environment),
            LambdaRequest::Violation(violation) => self.violations.push(violation),
        }
    }

    fn change_mapping(&mut self, environment: u32, call: Call) -> LambdaAnswer {
        let (now, caller) = (self.clock.now(), self.breaker.caller(environment));
        let switch = &mut self.breaker.switch;
        match call {
            Call::List | Call::Get => LambdaAnswer::Mapping(switch.state()),
            Call::Update(enabled) if !switch.set(enabled, caller, now) => LambdaAnswer::Conflict,
            Call::Update(_) => LambdaAnswer::Mapping(switch.state()),
            Call::ListTags => LambdaAnswer::Tags(switch.tags().clone()),
            Call::Tag(tags) => {
                switch.tag(tags, caller, now);
                LambdaAnswer::Done
            }
            Call::Untag(keys) => {
                switch.untag(&keys, caller, now);
                LambdaAnswer::Done
            }
        }
    }

    pub(super) fn note_fault(&mut self, environment: u32) {
        if environment >= FIRST
            && let Some(probe) = self.breaker.probe()
        {
            probe.hindered = true;
        }
    }

    /// Answers a call for one message, which only the prober makes.
    pub(super) fn answer_single(&mut self, environment: u32, call: SingleCall) -> SingleAnswer {
        if environment < FIRST {
            self.violations.push(format!("environment {environment} calls {call:?}"));
        }
        let answer = match call {
            SingleCall::Receive { most, visibility, .. } => self.receive_probe(most, visibility),
            SingleCall::RedrivePolicy => SingleAnswer::RedrivePolicy(self.plan.queue.max_receives),
            SingleCall::Delete { receipt: None } | SingleCall::Hide { receipt: None, .. } => {
                SingleAnswer::Refused(Refusal::NoReceipt)
            }
            SingleCall::Delete { receipt: Some(receipt) } => {
                if self.delete(receipt)
                    && let Some(probe) = self.breaker.probe()
                {
                    probe.deleted.push(receipt.message);
                }
                SingleAnswer::Done
            }
            SingleCall::Hide { receipt: Some(receipt), timeout } => {
                match self.queue.change_visibility(receipt, timeout, self.clock.now()) {
                    Ok(()) => SingleAnswer::Done,
                    Err(refusal) => SingleAnswer::Refused(refusal),
                }
            }
        };
        self.breaker.count(environment);
        answer
    }

    fn receive_probe(&mut self, most: usize, visibility: Option<Ms>) -> SingleAnswer {
        let now = self.clock.now();
        let visibility = visibility.unwrap_or(self.plan.queue.visibility);
        let batch = self.queue.receive_for(most, visibility, now);
        for delivery in &batch {
            let note = &mut self.notes[delivery.receipt.message as usize];
            note.redelivered |= delivery.is_copy;
            note.probed += u16::from(!delivery.is_copy);
            note.excused_receives += u16::from(!delivery.is_copy);
        }
        self.breaker.note_receive(&batch, now);
        SingleAnswer::Messages(batch.iter().map(|delivery| self.messages.received(delivery)).collect())
    }
}
