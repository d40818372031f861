//! Standard output that never delays an answer: if it is full, a line is dropped and counted.
//!
//! Lambda freezes the environment after the answer, so a thread could not write lines later. Each line is written at once
//! or dropped.
//!
//! poll(2) says whether standard output has room. On Linux a pipe with room accepts `PIPE_BUF` bytes without blocking,
//! because it has at least one free page. A stream socket accepts more, and a file always has room. So at most `PIPE_BUF`
//! bytes are written between two polls. Only a terminal can still block, while its user stops it.

use std::{
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::json;
use tokio::time::Instant;
use tracing_subscriber::fmt::{
    format::Writer,
    time::{FormatTime, SystemTime},
};

use crate::telemetry::messages;

/// How long a line may wait for room.
const PATIENCE: Duration = Duration::from_millis(50);

/// All lines together may wait for at most one part in this many of the time.
const SHARE: u32 = 20;

/// The most bytes that a pipe accepts as a whole (pipe(7)).
const PIPE_BUF: usize = 4096;

/// The process' standard output.
pub(crate) static STDOUT: Lines<Stdout> = Lines::new(Stdout);

/// A destination for bytes.
pub(crate) trait Sink {
    /// Waits for room, at most for `patience`. False if there is none.
    fn has_room(&self, patience: Duration) -> io::Result<bool>;

    /// Writes at most `PIPE_BUF` bytes. Call it only if there is room.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
}

/// Writes whole lines to a sink that may be full.
#[derive(Debug)]
pub(crate) struct Lines<S> {
    sink: S,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The rest of a line that was begun. It is written before the next line, so that each line stays whole.
    rest: Vec<u8>,
    /// Lines dropped since the last line with their number.
    dropped: u64,
    /// How long lines may still wait, as of `waited`. It grows back with time.
    patience: Duration,
    /// When a line last waited. None before the first wait.
    waited: Option<Instant>,
}

impl<S: Sink> Lines<S> {
    pub(crate) const fn new(sink: S) -> Self {
        let state = State { rest: Vec::new(), dropped: 0, patience: PATIENCE, waited: None };
        Lines { sink, state: Mutex::new(state) }
    }

    /// Writes a line. `line` ends with a line break.
    ///
    /// # Errors
    ///
    /// `TimedOut` if there was no room and the line was dropped. Other errors if the sink is broken.
    pub(crate) fn put(&self, line: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let is_written =
            self.put_rest(&mut state) && self.put_count(&mut state) && self.begin(&mut state, line)?;
        if is_written {
            return Ok(());
        }
        state.dropped += 1;
        Err(io::ErrorKind::TimedOut.into())
    }

    /// Writes the rest of a line that was begun. False if some of it still remains.
    fn put_rest(&self, state: &mut State) -> bool {
        let rest = std::mem::take(&mut state.rest);
        // If the sink is broken the rest is discarded. Writing the next line returns the error.
        let written = self.write(state, &rest).unwrap_or(rest.len());
        state.rest = rest[written..].to_vec();
        state.rest.is_empty()
    }

    /// Writes a line with the number of dropped lines, if there are any. False if there is no room for it.
    fn put_count(&self, state: &mut State) -> bool {
        if state.dropped == 0 {
            return true;
        }
        let line = lines_dropped(state.dropped);
        let is_begun = self.begin(state, line.as_bytes()).unwrap_or(false);
        if is_begun {
            state.dropped = 0;
        }
        is_begun && state.rest.is_empty()
    }

    /// Begins a line, and keeps the rest if there is not enough room. False if there was no room at all.
    fn begin(&self, state: &mut State, line: &[u8]) -> io::Result<bool> {
        let written = self.write(state, line)?;
        if written > 0 {
            state.rest = line[written..].to_vec();
        }
        Ok(written > 0)
    }

    /// Writes as many bytes as there is room for. Returns their number.
    fn write(&self, state: &mut State, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() && self.waits_for_room(state)? {
            let end = bytes.len().min(written + PIPE_BUF);
            match self.sink.write(&bytes[written..end]) {
                Ok(0) => break,
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Another process that shares this pipe made it non-blocking, and took the room first.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Whether there is room, now or after a wait. After a dropped line, no line waits until there is room again.
    fn waits_for_room(&self, state: &mut State) -> io::Result<bool> {
        if self.sink.has_room(Duration::ZERO)? {
            return Ok(true);
        }
        if state.dropped > 0 {
            return Ok(false);
        }
        let start = Instant::now();
        let grown = state.waited.map_or(PATIENCE, |waited| (start - waited) / SHARE);
        let patience = PATIENCE.min(state.patience + grown);
        let has_room = self.sink.has_room(patience)?;
        let end = Instant::now();
        state.waited = Some(end);
        state.patience = if has_room { patience.saturating_sub(end - start) } else { Duration::ZERO };
        Ok(has_room)
    }

    /// Ignores poisoning: no holder of the lock leaves the state half-changed.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Standard output without the standard library's buffer.
#[derive(Debug)]
pub(crate) struct Stdout;

#[cfg(unix)]
impl Sink for Stdout {
    fn has_room(&self, patience: Duration) -> io::Result<bool> {
        has_room(io::stdout(), patience)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        write(io::stdout(), bytes)
    }
}

#[cfg(unix)]
fn write(fd: impl std::os::fd::AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::io::write(fd, bytes)?)
}

#[cfg(unix)]
fn has_room(fd: impl std::os::fd::AsFd, patience: Duration) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(&fd, PollFlags::OUT)], Some(&patience)) {
        // A broken sink counts as having room: the write then returns the error.
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// For trying the function on other systems. Lambda runs Linux.
#[cfg(not(unix))]
impl Sink for Stdout {
    fn has_room(&self, _patience: Duration) -> io::Result<bool> {
        Ok(true)
    }

    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        use io::Write;
        let mut stdout = io::stdout().lock();
        stdout.write_all(bytes).and_then(|()| stdout.flush()).map(|()| bytes.len())
    }
}

/// The line with the number of dropped lines. It does not go through the log's subscriber, which is busy with another line
/// at that moment. So it is JSON on a terminal too.
fn lines_dropped(count: u64) -> String {
    let line = messages::LINES_DROPPED;
    let mut timestamp = String::new();
    // If the time cannot be formatted, the line has none.
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    format!(
        "{}\n",
        json!({ "timestamp": timestamp, "level": line.level.as_str(), "message": line.message, "lines": count })
    )
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::{
        cell::Cell,
        io::{PipeReader, PipeWriter, Read, pipe},
    };

    use proptest::prelude::*;

    use super::*;

    impl Sink for PipeWriter {
        fn has_room(&self, patience: Duration) -> io::Result<bool> {
            has_room(self, patience)
        }

        fn write(&self, bytes: &[u8]) -> io::Result<usize> {
            write(self, bytes)
        }
    }

    fn lines() -> (PipeReader, Lines<PipeWriter>) {
        let (reader, writer) = pipe().unwrap();
        (reader, Lines::new(writer))
    }

    fn line(number: usize, len: usize) -> String {
        format!("{number} {}\n", "x".repeat(len))
    }

    /// Reads at least this many bytes.
    fn read(reader: &mut PipeReader, bytes: usize) -> String {
        let mut read = Vec::new();
        let mut buffer = [0; 1 << 16];
        while read.len() < bytes {
            let count = reader.read(&mut buffer).unwrap();
            read.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8(read).unwrap()
    }

    /// The number in a line about dropped lines.
    fn dropped(line: &str) -> u64 {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["level"], line["timestamp"].is_string()), (&"WARN".into(), true));
        line["lines"].as_u64().unwrap()
    }

    /// Writes lines of this length until one is dropped. Returns how many were written.
    fn fill(lines: &Lines<PipeWriter>, len: usize) -> usize {
        (0..).find(|&number| lines.put(line(number, len).as_bytes()).is_err()).unwrap()
    }

    #[test]
    fn a_full_pipe_drops_lines_and_counts_them() {
        let (mut reader, lines) = lines();
        let written = fill(&lines, 1_000);
        assert!(written >= 60, "a pipe holds 64 KiB: {written}");
        for number in 0..1_000 {
            assert_eq!(lines.put(line(number, 10).as_bytes()).unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        // There is room again. The count comes first, and only once.
        let before = read(&mut reader, written * 1_000);
        assert!(before.lines().enumerate().all(|(number, read)| line(number, 1_000).trim_end() == read));
        lines.put(b"a\n").unwrap();
        lines.put(b"b\n").unwrap();
        let after = read(&mut reader, 60);
        let after: Vec<_> = after.lines().collect();
        assert_eq!((dropped(after[0]), &after[1..]), (1_001, &["a", "b"][..]));
    }

    #[test]
    fn a_line_that_was_begun_is_completed_before_the_next() {
        let (mut reader, lines) = lines();
        let long = line(7, 100_000);
        lines.put(long.as_bytes()).unwrap();
        assert!(lines.put(b"dropped\n").is_err());
        let mut all = read(&mut reader, 60_000);
        lines.put(b"next\n").unwrap();
        all += &read(&mut reader, 34_000);
        let (first, rest) = all.split_once('\n').unwrap();
        assert_eq!(first, long.trim_end());
        let (count, next) = rest.split_once('\n').unwrap();
        assert_eq!((dropped(count), next), (1, "next\n"));
    }

    #[test]
    fn a_slow_reader_gets_every_line() {
        let (mut reader, lines) = lines();
        let mut read = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                reader.read_to_end(&mut read).unwrap();
            });
            for number in 0..100 {
                lines.put(line(number, 3_000).as_bytes()).unwrap();
            }
            drop(lines);
        });
        let expected: String = (0..100).map(|number| line(number, 3_000)).collect();
        assert_eq!(String::from_utf8(read).unwrap(), expected);
    }

    /// A sink that is full or not, as set. Counts how long lines wait for it.
    #[derive(Default)]
    struct FakeSink {
        has_room: Cell<bool>,
        waited: Cell<Duration>,
    }

    impl Sink for FakeSink {
        fn has_room(&self, patience: Duration) -> io::Result<bool> {
            self.waited.set(self.waited.get() + patience);
            Ok(self.has_room.get())
        }

        fn write(&self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_of_all_lines_together_is_bounded() {
        let lines = Lines::new(FakeSink::default());
        let put = |has_room| {
            lines.sink.has_room.set(has_room);
            assert_eq!(lines.put(b"line\n").is_ok(), has_room);
            lines.sink.waited.get()
        };
        (0..1_000).for_each(|_| assert_eq!(put(false), PATIENCE));
        put(true);
        assert_eq!(put(false), PATIENCE, "the patience is used up");
        put(true);
        tokio::time::advance(PATIENCE / 2 * SHARE).await;
        assert_eq!(put(false), PATIENCE + PATIENCE / 2);
        put(true);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(put(false), PATIENCE * 2 + PATIENCE / 2);
    }

    #[test]
    fn a_closed_pipe_is_an_error_and_not_a_dropped_line() {
        let (reader, lines) = lines();
        drop(reader);
        for _ in 0..2 {
            assert_eq!(lines.put(b"line\n").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        }
        assert_eq!(lines.state().dropped, 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        /// However the pipe is read, lines are whole and in order, and every missing line is counted.
        #[test]
        fn each_line_is_written_or_counted(steps in prop::collection::vec((1usize..30_000, any::<bool>()), 1..60)) {
            let (mut reader, lines) = lines();
            let mut all = String::new();
            let mut unread = 0;
            for (number, &(len, reads)) in steps.iter().enumerate() {
                if lines.put(line(number, len).as_bytes()).is_ok() {
                    unread += 1;
                }
                if reads && unread > 0 {
                    all += &read(&mut reader, 1);
                    unread = 0;
                }
            }
            read_to_end(lines, &mut reader, &mut all);
            let mut next = 0;
            for read in all.lines() {
                if read.starts_with('{') {
                    next += usize::try_from(dropped(read)).unwrap();
                } else {
                    let expected = line(next, steps[next].0);
                    prop_assert_eq!(read, expected.trim_end());
                    next += 1;
                }
            }
            prop_assert_eq!(next, steps.len());
        }
    }

    /// Reads until the rest of the last line and the count are written, and all after that.
    fn read_to_end(lines: Lines<PipeWriter>, reader: &mut PipeReader, all: &mut String) {
        loop {
            let mut state = lines.state();
            let is_done = lines.put_rest(&mut state) && lines.put_count(&mut state);
            drop(state);
            if is_done {
                break;
            }
            *all += &read(reader, 1);
        }
        drop(lines);
        reader.read_to_string(all).unwrap();
    }
}
