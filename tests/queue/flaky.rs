//! A Perseus that fails a fifth of its requests, and refuses poison always.

use lab::perseus::{Perseus, Received, Reply};

/// Marks a body that Perseus refuses for good.
pub(crate) const POISON: &str = "poison";

/// Starts it; which requests fail, and how, follows from the seed.
pub(crate) async fn start(seed: u64) -> Perseus {
    let mut random = fastrand::Rng::with_seed(seed);
    Perseus::start(move |request| reply(&mut random, request)).await
}

fn reply(random: &mut fastrand::Rng, request: &Received) -> Reply {
    // Both are drawn for every request: what becomes of it is a matter of its number, whatever came before.
    let (fails, how) = (random.u8(..5) == 0, random.u8(..4));
    let poison = poison(request);
    let verdicts = || Reply::refuse(207, &poison);
    match (fails, how) {
        (true, 0) => Reply::status(429),
        (true, 1) => Reply::status(500),
        (true, 2) => Reply::status(503),
        // It has committed, and nobody learns of it.
        (true, _) => verdicts().cut_short(),
        (false, _) if poison.is_empty() => Reply::ok(),
        (false, 0 | 1) => Reply::status(422),
        (false, _) => verdicts(),
    }
}

/// The poisoned records of a request, refused for good.
fn poison(request: &Received) -> Vec<(&str, Option<bool>)> {
    let records = request.message_ids.iter().zip(&request.records);
    let poisoned = records.filter(|(_, record)| record["body"].to_string().contains(POISON));
    poisoned.map(|(id, _)| (id.as_str(), Some(false))).collect()
}
