//! The request of a batch: body, content type and idempotency key.

use std::io;

use bytes::Bytes;
use flate2::write::GzEncoder;
use reqwest::header::HeaderValue;
use ring::digest::{Context, SHA256};
use twox_hash::xxhash3_128;

use crate::{
    aws::sigv4::hex,
    batch::batcher::Batch,
    value::format::{BatchFormat, Compression},
    yield_budget::{AT_A_TIME, YieldBudget},
};

/// The request of a batch. It is built for each attempt, and is the same as long as the records are the same.
#[derive(Clone)]
pub struct Request {
    /// The body.
    pub body: Bytes,
    /// The `content-encoding` header, if the body is compressed.
    pub(crate) content_encoding: Option<HeaderValue>,
    /// The `content-type` header.
    pub(crate) content_type: HeaderValue,
    /// The `idempotency-key` header: equal if and only if the records and the body are equal.
    pub(crate) idempotency_key: HeaderValue,
    /// The hash of the body that is signed, if it is.
    pub(crate) payload_hash: Option<String>,
}

impl Request {
    /// Builds the request for a batch whose records have these ids.
    pub async fn new(
        batch: &Batch,
        ids: &[&str],
        format: BatchFormat,
        compression: Compression,
        budget: &YieldBudget,
    ) -> Self {
        let is_compressed = compression != Compression::None;
        let body = compressed(batch.body(), compression, budget).await;
        Request {
            idempotency_key: idempotency_key(ids, &body),
            body,
            content_encoding: is_compressed.then(|| HeaderValue::from_static(compression.name())),
            content_type: HeaderValue::from_static(match format {
                BatchFormat::Records | BatchFormat::Array => "application/json",
                BatchFormat::Ndjson => "application/x-ndjson",
            }),
            payload_hash: None,
        }
    }

    /// Hashes the body for its signature. For 6 MiB that takes up to 12 ms, so it yields in between.
    pub(crate) async fn hash_payload(&mut self, budget: &YieldBudget) {
        let mut context = Context::new(&SHA256);
        for part in self.body.chunks(AT_A_TIME) {
            budget.spend(part.len()).await;
            context.update(part);
        }
        self.payload_hash = Some(hex(context.finish()));
    }
}

/// An encoder takes as much time to create as this many bytes take to compress.
const ENCODER: usize = 16 << 10;

/// Compresses a body at the fastest level, because it is sent once and every millisecond of CPU is billed.
///
/// It compresses one part at a time and yields in between: a function with 128 MB of memory has a fourteenth of a core, and
/// takes a third of a second for 6 MiB.
async fn compressed(body: Bytes, compression: Compression, budget: &YieldBudget) -> Bytes {
    let compressed = match compression {
        Compression::None => return body,
        Compression::Gzip => {
            budget.spend(ENCODER).await;
            let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
            write_all(&body, &mut encoder, budget).await.and_then(|()| encoder.finish())
        }
        Compression::Zstd => {
            budget.spend(ENCODER).await;
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("level 1 exists");
            // The length is then in the frame, as when a body is compressed in one call.
            encoder.set_pledged_src_size(Some(body.len() as u64)).expect("nothing is written yet");
            write_all(&body, &mut encoder, budget).await.and_then(|()| encoder.finish())
        }
    };
    compressed.expect("a vector takes any bytes").into()
}

async fn write_all(body: &[u8], encoder: &mut impl io::Write, budget: &YieldBudget) -> io::Result<()> {
    for part in body.chunks(AT_A_TIME) {
        budget.spend(part.len()).await;
        encoder.write_all(part)?;
    }
    Ok(())
}

/// A key of the message ids and the body.
///
/// The ids are not enough: a redelivered message has another receive count, and servers refuse a known key with another
/// body. The body is not enough either: in formats without ids two messages can have the same body.
///
/// The hash of the body is fast and not collision resistant. A producer could make two bodies with the same hash, but not
/// with the same message ids, which SQS assigns.
fn idempotency_key(ids: &[&str], body: &[u8]) -> HeaderValue {
    let mut context = Context::new(&SHA256);
    context.update(&xxhash3_128::Hasher::oneshot(body).to_le_bytes());
    for id in ids {
        // The length comes first: otherwise "ab" + "c" and "a" + "bc" have the same key.
        context.update(&(id.len() as u64).to_le_bytes());
        context.update(id.as_bytes());
    }
    let digest = context.finish();
    // 128 bits are enough to make a collision practically impossible.
    HeaderValue::try_from(hex(&digest.as_ref()[..16])).expect("hex digits are a header value")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        batch::{batcher::Batcher, body::Framing},
        decode::record::Record,
        value::limits::BatchLimits,
    };

    async fn request(format: BatchFormat, wires: &[&str]) -> Request {
        let mut batcher = Batcher::new(BatchLimits { max_records: 9, max_bytes: 1 << 20 }, format);
        for wire in wires {
            batcher.push(Record { slot: 0, group: None, sent: None, wire: wire.as_bytes().to_vec() });
        }
        let batch = batcher.finish().unwrap();
        Request::new(&batch, wires, format, Compression::None, &YieldBudget::default()).await
    }

    #[tokio::test]
    async fn each_format_has_its_own_framing() {
        for (format, one, two, content_type) in [
            (BatchFormat::Records, r#"{"records":[1]}"#, r#"{"records":[1,"x"]}"#, "application/json"),
            (BatchFormat::Array, "[1]", r#"[1,"x"]"#, "application/json"),
            (BatchFormat::Ndjson, "1\n", "1\n\"x\"\n", "application/x-ndjson"),
        ] {
            assert_eq!(request(format, &["1"]).await.body, one);
            let request = request(format, &["1", r#""x""#]).await;
            assert_eq!(request.body, two);
            assert_eq!(request.content_type, content_type);
            assert_eq!(Framing::of(format).body_len(2, 4), two.len());
        }
    }

    #[test]
    fn the_key_depends_on_the_ids_and_the_body() {
        let key = |ids: &[&str]| idempotency_key(ids, b"body");
        assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
        assert_eq!(key(&["a"]).len(), 32);
        let keys = [
            key(&["a"]),
            key(&["b"]),
            key(&["a", "b"]),
            key(&["ab"]),
            key(&["a", "", "b"]),
            key(&[]),
            idempotency_key(&["a"], b"other"),
            idempotency_key(&["a"], b""),
        ];
        for (i, one) in keys.iter().enumerate() {
            assert!(keys.iter().skip(i + 1).all(|other| one != other));
        }
    }

    /// A request with one record of this many bytes.
    async fn large(bytes: usize, compression: Compression) -> Request {
        large_with(&YieldBudget::default(), bytes, compression).await
    }

    async fn large_with(budget: &YieldBudget, bytes: usize, compression: Compression) -> Request {
        let mut batcher =
            Batcher::new(BatchLimits { max_records: 9, max_bytes: 1 << 20 }, BatchFormat::Array);
        let wire = (0..bytes).map(|n| b'0' + (n * n / 7 % 10) as u8).collect();
        batcher.push(Record { slot: 0, group: None, sent: None, wire });
        Request::new(&batcher.finish().unwrap(), &["a"], BatchFormat::Array, compression, budget).await
    }

    #[tokio::test]
    async fn the_key_depends_on_the_compression() {
        let mut keys = Vec::new();
        for compression in Compression::ALL {
            let key = large(10, compression).await.idempotency_key;
            assert_eq!(key, large(10, compression).await.idempotency_key);
            keys.push(key);
        }
        assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[2] != keys[0]);
    }

    #[tokio::test]
    async fn a_body_that_is_compressed_in_parts_is_unchanged() {
        use std::io::Read;
        for bytes in [1, AT_A_TIME - 2, AT_A_TIME, 3 * AT_A_TIME + 5] {
            let plain = large(bytes, Compression::None).await.body;
            let mut unzipped = Vec::new();
            let zipped = large(bytes, Compression::Gzip).await.body;
            flate2::read::GzDecoder::new(&zipped[..]).read_to_end(&mut unzipped).unwrap();
            assert_eq!(unzipped, plain);
            // This decoder needs the length, which is in the frame.
            let zstd = large(bytes, Compression::Zstd).await.body;
            assert_eq!(zstd::bulk::decompress(&zstd, plain.len()).unwrap(), plain);
        }
    }

    #[tokio::test]
    async fn other_tasks_run_while_a_large_body_is_compressed() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let mut turns = 0;
            let mut request = std::pin::pin!(large(4 * AT_A_TIME, compression));
            while futures_util::poll!(&mut request).is_pending() {
                turns += 1;
            }
            assert!(turns >= 4, "{turns}");
        }
    }

    #[tokio::test]
    async fn other_tasks_run_while_many_bodies_are_compressed() {
        for (bodies, bytes, least) in [(6, AT_A_TIME / 2, 3), (600, 1, 30)] {
            let budget = YieldBudget::default();
            let requests = (0..bodies).map(|_| large_with(&budget, bytes, Compression::Gzip));
            let mut requests = std::pin::pin!(futures_util::future::join_all(requests));
            let mut turns = 0;
            std::future::poll_fn(|context| {
                turns += 1;
                requests.as_mut().poll(context)
            })
            .await;
            assert!(turns >= least, "{turns}");
        }
    }
}
