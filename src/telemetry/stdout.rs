//! Standard output, which must never hold up an answer: a log line that nobody takes is dropped, and counted.
//!
//! Lambda freezes the environment after the answer, so no thread could write a line later: all is written at once, or not.
//!
//! poll(2) says whether standard output has room. On Linux a pipe that has takes `PIPE_BUF` bytes without blocking (a
//! free page of it is room), and a stream socket takes many times that. Files always have room. So no more than
//! `PIPE_BUF` bytes are written between two polls. Only a terminal can block for as long as its user stops it.

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

/// How long a line may wait for room.
const PATIENCE: Duration = Duration::from_millis(50);

/// Of a longer time all lines together may wait for one part in so many.
const SHARE: u32 = 20;

/// What a pipe takes whole, or not at all (pipe(7)).
const PIPE_BUF: usize = 4096;

/// Says how many lines are missing.
const DROPPED: &str = "log lines dropped: standard output was full";

/// The process' standard output.
pub(crate) static STDOUT: Lines<Stdout> = Lines::new(Stdout);

/// Where bytes go.
pub(crate) trait Sink {
    /// Waits for room, `patience` at most. False if there is none.
    fn has_room(&self, patience: Duration) -> io::Result<bool>;

    /// Writes up to `PIPE_BUF` bytes for which there is room.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
}

/// Whole lines on their way to a sink that may be full.
#[derive(Debug)]
pub(crate) struct Lines<S> {
    sink: S,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What remains of a line that was begun. It goes before all others, so that no line is ever torn.
    rest: Vec<u8>,
    /// Lines dropped since the last one that was told.
    dropped: u64,
    /// How long lines may wait, as of when one last did. It grows back with time.
    patience: Duration,
    /// When that was; none before the first wait.
    waited: Option<Instant>,
}

impl<S: Sink> Lines<S> {
    pub(crate) const fn new(sink: S) -> Self {
        let state = State { rest: Vec::new(), dropped: 0, patience: PATIENCE, waited: None };
        Lines { sink, state: Mutex::new(state) }
    }

    /// Writes a line, which ends with a line break.
    ///
    /// # Errors
    ///
    /// `TimedOut` if there was no room, and the line was dropped. Others if the sink is broken.
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

    /// Writes what remains of a line that was begun. False if some of it still remains.
    fn put_rest(&self, state: &mut State) -> bool {
        let rest = std::mem::take(&mut state.rest);
        // A sink that is broken takes the rest of no line; the next one hears of it.
        let written = self.write(state, &rest).unwrap_or(rest.len());
        state.rest = rest[written..].to_vec();
        state.rest.is_empty()
    }

    /// Tells how many lines were dropped, if any were. False if there is no room for that.
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

    /// Begins a line. False if there was no room for any of it.
    fn begin(&self, state: &mut State, line: &[u8]) -> io::Result<bool> {
        let written = self.write(state, line)?;
        if written > 0 {
            state.rest = line[written..].to_vec();
        }
        Ok(written > 0)
    }

    /// Writes as much as there is room for. Returns how much that was.
    fn write(&self, state: &mut State, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < bytes.len() && self.waits_for_room(state)? {
            let end = bytes.len().min(written + PIPE_BUF);
            match self.sink.write(&bytes[written..end]) {
                Ok(0) => break,
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Whoever shares this pipe has made it non-blocking, and was quicker.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }

    /// Whether there is room, at once or after a wait. Once a line was dropped, none waits until there is room again.
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

    /// Nothing is left half-done in the lock, so a panic of its holder does not matter.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Standard output, past the buffer that the standard library puts in front of it.
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
        // A sink that is broken counts as one with room: the write then says what is wrong.
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// For trying the function on other systems; Lambda is Linux.
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

/// The line that says how many lines were dropped. It is written past the log's subscriber, which is busy with another
/// line at that moment. So it is JSON on a terminal too.
fn lines_dropped(count: u64) -> String {
    let mut timestamp = String::new();
    // Without a time it is a line all the same.
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    format!("{}\n", json!({ "timestamp": timestamp, "level": "WARN", "message": DROPPED, "lines": count }))
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

    /// Reads at least `bytes`, and what comes with them.
    fn read(reader: &mut PipeReader, bytes: usize) -> String {
        let mut read = Vec::new();
        let mut buffer = [0; 1 << 16];
        while read.len() < bytes {
            let count = reader.read(&mut buffer).unwrap();
            read.extend_from_slice(&buffer[..count]);
        }
        String::from_utf8(read).unwrap()
    }

    /// How many lines were dropped, as a line says that tells it.
    fn told(line: &str) -> u64 {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&line["level"], line["timestamp"].is_string()), (&"WARN".into(), true));
        line["lines"].as_u64().unwrap()
    }

    /// Puts lines of this length until one is dropped. Returns how many were written.
    fn fill(lines: &Lines<PipeWriter>, len: usize) -> usize {
        (0..).find(|&number| lines.put(line(number, len).as_bytes()).is_err()).unwrap()
    }

    #[test]
    fn a_pipe_that_nobody_reads_keeps_nobody() {
        let (mut reader, lines) = lines();
        let written = fill(&lines, 1_000);
        assert!(written >= 60, "a pipe holds 64 KiB: {written}");
        for number in 0..1_000 {
            assert_eq!(lines.put(line(number, 10).as_bytes()).unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        // There is room again: the count comes first, and once.
        let before = read(&mut reader, written * 1_000);
        assert!(before.lines().enumerate().all(|(number, read)| line(number, 1_000).trim_end() == read));
        lines.put(b"a\n").unwrap();
        lines.put(b"b\n").unwrap();
        let after = read(&mut reader, 60);
        let after: Vec<_> = after.lines().collect();
        assert_eq!((told(after[0]), &after[1..]), (1_001, &["a", "b"][..]));
    }

    #[test]
    fn a_line_that_was_begun_is_ended_before_the_next() {
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
        assert_eq!((told(count), next), (1, "next\n"));
    }

    #[test]
    fn a_reader_that_is_slow_misses_nothing() {
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

    /// Full or not, as told. Counts how long it is waited for.
    #[derive(Default)]
    struct Told {
        has_room: Cell<bool>,
        waited: Cell<Duration>,
    }

    impl Sink for Told {
        fn has_room(&self, patience: Duration) -> io::Result<bool> {
            self.waited.set(self.waited.get() + patience);
            Ok(self.has_room.get())
        }

        fn write(&self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn all_lines_together_do_not_wait_for_long() {
        let lines = Lines::new(Told::default());
        let put = |has_room| {
            lines.sink.has_room.set(has_room);
            assert_eq!(lines.put(b"line\n").is_ok(), has_room);
            lines.sink.waited.get()
        };
        (0..1_000).for_each(|_| assert_eq!(put(false), PATIENCE));
        put(true);
        assert_eq!(put(false), PATIENCE, "it has waited enough for now");
        put(true);
        tokio::time::advance(PATIENCE / 2 * SHARE).await;
        assert_eq!(put(false), PATIENCE + PATIENCE / 2);
        put(true);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(put(false), PATIENCE * 2 + PATIENCE / 2);
    }

    #[test]
    fn a_reader_that_is_gone_is_an_error_and_no_dropped_line() {
        let (reader, lines) = lines();
        drop(reader);
        for _ in 0..2 {
            assert_eq!(lines.put(b"line\n").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        }
        assert_eq!(lines.state().dropped, 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        /// Whatever is read and when: lines are whole and in their order, and every line that is not there is counted.
        #[test]
        fn every_line_is_there_or_counted(steps in prop::collection::vec((1usize..30_000, any::<bool>()), 1..60)) {
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
            drop_after_flush(lines, &mut reader, &mut all);
            let mut next = 0;
            for read in all.lines() {
                if read.starts_with('{') {
                    next += usize::try_from(told(read)).unwrap();
                } else {
                    let expected = line(next, steps[next].0);
                    prop_assert_eq!(read, expected.trim_end());
                    next += 1;
                }
            }
            prop_assert_eq!(next, steps.len());
        }
    }

    /// Reads all that is there, until nothing is left to be told.
    fn drop_after_flush(lines: Lines<PipeWriter>, reader: &mut PipeReader, all: &mut String) {
        loop {
            let mut state = lines.state();
            let is_told = lines.put_rest(&mut state) && lines.put_count(&mut state);
            drop(state);
            if is_told {
                break;
            }
            *all += &read(reader, 1);
        }
        drop(lines);
        reader.read_to_string(all).unwrap();
    }
}
