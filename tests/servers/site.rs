//! Perseus as its operators run it: an origin, and perhaps a proxy in front of it.

use std::{collections::BTreeSet, path::PathBuf, time::Duration};

use lab::{environment::Environment, events::generate};
use serde_json::Value;

use crate::{
    certificate,
    origin::{self, Origin},
    place, proxy,
    proxy::Proxy,
};

/// Message ids make most of a line.
const LONGEST_LINE: usize = 300;

/// After so many events a function must have noticed that all is well again.
const MOST_PROBES: usize = 10;

pub(crate) struct Site {
    pub(crate) origin: Origin,
    proxy: Option<Proxy>,
    folder: PathBuf,
    /// Whom the proxy's certificate is from.
    authority: String,
}

/// The record counts of an event.
pub(crate) struct Delivery {
    pub(crate) acknowledged: usize,
    pub(crate) reported: usize,
}

impl Site {
    pub(crate) async fn direct(origin: origin::Kind, more: &[&str]) -> Self {
        Self::certified(origin, more, certificate::good).await
    }

    async fn certified(origin: origin::Kind, more: &[&str], certificate: certificate::Write) -> Self {
        let folder = place::new_folder();
        let authority = certificate(&folder);
        Self { origin: Origin::start(origin, more, &folder).await, proxy: None, folder, authority }
    }

    pub(crate) async fn behind(proxy: impl Into<proxy::Kind>, origin: origin::Kind) -> Self {
        Self::behind_with(proxy, origin, certificate::good).await
    }

    /// With another certificate for the proxy.
    pub(crate) async fn behind_with(
        proxy: impl Into<proxy::Kind>,
        origin: origin::Kind,
        certificate: certificate::Write,
    ) -> Self {
        let mut site = Self::certified(origin, &[], certificate).await;
        site.proxy = Some(Proxy::start(proxy.into(), site.origin.port, &site.folder).await);
        site
    }

    pub(crate) fn proxy(&self) -> &Proxy {
        self.proxy.as_ref().unwrap()
    }

    /// What the function speaks to.
    pub(crate) fn front(&self) -> &crate::program::Program {
        self.proxy.as_ref().map_or(&self.origin.program, |proxy| &proxy.program)
    }

    /// Where it is, with this path and query. A path may begin with a scheme.
    fn url(&self, path: &str) -> String {
        let port = self.proxy.as_ref().map_or(self.origin.port, |proxy| proxy.port);
        let (scheme, path) = path.split_once("://").unwrap_or(("http", path));
        format!("{scheme}://127.0.0.1:{port}/{path}")
    }

    /// A function that posts there, with a time-out of 10 s and a reserve for a busy machine.
    pub(crate) async fn function(&self, settings: &[(&str, &str)]) -> Environment {
        self.function_at("ingest", Duration::from_secs(10), settings).await
    }

    pub(crate) async fn function_at(
        &self,
        path: &str,
        timeout: Duration,
        settings: &[(&str, &str)],
    ) -> Environment {
        let mut builder = Environment::builder(env!("CARGO_BIN_EXE_perseus-forwarder"))
            .timeout(timeout)
            .env("PERSEUS_URL", self.url(path))
            .env("PERSEUS_CA_CERT", &self.authority)
            .env("BATCH_MAX_RECORDS", "20");
        for (name, value) in settings {
            builder = builder.env(*name, *value);
        }
        builder.start().await.unwrap()
    }

    /// Sends that many records of 500 bytes through the function.
    pub(crate) async fn deliver(&self, function: &Environment, records: usize) -> Delivery {
        self.deliver_event(function, generate(records, 500, None)).await
    }

    /// Sends an event through the function. In every case, the answer must be there before the deadline,
    /// and every record that it acknowledges has been taken.
    pub(crate) async fn deliver_event(&self, function: &Environment, event: String) -> Delivery {
        let sent = ids(&event);
        let invocation = function.invoke(event).await;
        let reported: BTreeSet<String> = invocation.answer.failed_ids().into_iter().collect();
        assert!(!invocation.time_left.is_zero(), "late");
        assert!(reported.is_subset(&sent), "an id that was not sent is reported");
        let acknowledged = &sent - &reported;
        let lost = &acknowledged - &self.origin.taken();
        assert!(lost.is_empty(), "{} of {} records are lost: {:#?}", lost.len(), sent.len(), told(function));
        Delivery { acknowledged: acknowledged.len(), reported: reported.len() }
    }

    /// Sends 500 records. All must arrive.
    pub(crate) async fn deliver_all(&self, function: &Environment) {
        let delivery = self.deliver(function, 500).await;
        assert_eq!(delivery.reported, 0, "{:#?}", told(function));
    }

    /// The same after a failure of everything. The first events may be no more than probes, or held back since an attempt
    /// is expected to take as long as those that hung; but that must end.
    pub(crate) async fn deliver_all_again(&self, function: &Environment) {
        for _ in 0..MOST_PROBES {
            if self.deliver(function, 500).await.reported == 0 {
                return;
            }
        }
        panic!("{MOST_PROBES} events have not arrived as a whole: {:#?}", told(function));
    }
}

fn ids(event: &str) -> BTreeSet<String> {
    let event: Value = serde_json::from_str(event).unwrap();
    let records = event["Records"].as_array().unwrap();
    records.iter().map(|record| record["messageId"].as_str().unwrap().to_owned()).collect()
}

/// Asserts that a line of the function's log has all these words.
pub(crate) fn assert_says(function: &Environment, words: &[&str]) {
    let says = function.logs().iter().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(says, "{words:?} in {:#?}", told(function));
}

/// A number of the last invocation's line.
pub(crate) fn settled(function: &Environment, field: &str) -> u64 {
    let logs = function.logs();
    let line = logs.iter().rev().find(|line| line.contains("invocation settled")).unwrap();
    serde_json::from_str::<Value>(line).unwrap()[field].as_u64().unwrap()
}

/// What the function has logged, without the ends of long lines.
pub(crate) fn told(function: &Environment) -> Vec<String> {
    function.logs().iter().map(|line| line.chars().take(LONGEST_LINE).collect()).collect()
}
