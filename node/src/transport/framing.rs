//! Frames on a stream: u32 length of what follows, u16 tag, content (spec 4.13).
//!
//! A length is checked before anything is allocated, and memory grows only with bytes that came. Deadlines are idle ones:
//! what moves may take as long as it needs.

use std::io;
use std::time::Duration;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Bytes of the length field.
pub(super) const LENGTH_BYTES: usize = 4;
/// Fewest bytes a length may announce: the tag.
const LENGTH_MIN: u32 = 2;
/// The tag of the frame that ends a reply.
pub(super) const TAG_END: u16 = 12;
/// Memory given to a frame before its bytes came.
const FIRST_CAPACITY: usize = 16 * 1024;
/// Most bytes given to a stream at once.
const WRITE_BYTES: usize = 256 * 1024;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub(super) enum FrameError {
    /// The stream ended between frames.
    #[error("stream ended")]
    Ended,
    /// The stream ended inside a frame.
    #[error("stream ended inside a frame")]
    Truncated,
    /// The announced length is over the bound of this stream, or too small for a tag.
    #[error("frame announces {length} bytes")]
    Length {
        /// The announced length.
        length: u32,
    },
    /// Nothing moved for the idle deadline.
    #[error("no progress within the idle deadline")]
    Idle,
    /// The connection below.
    #[error("stream broke")]
    Io(#[source] io::Error),
}

/// How long to wait for a frame to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// Frames may be far apart; whoever watches the link watches the time.
    AnyTime,
    /// A frame must begin within the idle deadline.
    WithinIdle,
}

/// What a stream allows.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameRules {
    /// Largest length a frame may announce.
    pub(super) length_max: usize,
    /// Longest time without progress.
    pub(super) idle: Duration,
    /// When a frame must begin.
    pub(super) begin: Begin,
}

/// Returns the tag of a whole frame; 0, which no frame has, if it is too short to hold one.
pub(super) fn tag(frame: &[u8]) -> u16 {
    match frame.get(LENGTH_BYTES..LENGTH_BYTES + 2) {
        Some(&[high, low]) => u16::from_be_bytes([high, low]),
        _ => 0,
    }
}

/// Whether `frame` is one whole frame by its own length field.
pub(super) fn is_whole(frame: &[u8]) -> bool {
    let Some((length, rest)) = frame.split_first_chunk::<LENGTH_BYTES>() else { return false };
    let length = u32::from_be_bytes(*length);
    length >= LENGTH_MIN && usize::try_from(length).is_ok_and(|length| length == rest.len())
}

/// Reads one whole frame, its length field included.
///
/// # Errors
/// [`FrameError`]; the stream is then useless.
pub(super) async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    rules: FrameRules,
) -> Result<Vec<u8>, FrameError> {
    let mut head = [0; LENGTH_BYTES];
    let first = match rules.begin {
        Begin::AnyTime => stream.read(&mut head).await.map_err(FrameError::Io)?,
        Begin::WithinIdle => read_some(stream, &mut head, rules.idle).await?,
    };
    if first == 0 {
        return Err(FrameError::Ended);
    }
    fill(stream, &mut head[first..], rules.idle).await?;
    let length = u32::from_be_bytes(head);
    let wanted = usize::try_from(length).unwrap_or(usize::MAX);
    if length < LENGTH_MIN || wanted > rules.length_max {
        return Err(FrameError::Length { length });
    }
    let whole = LENGTH_BYTES + wanted;
    let mut frame = Vec::with_capacity(whole.min(FIRST_CAPACITY));
    frame.extend_from_slice(&head);
    while frame.len() < whole {
        // Doubling keeps the cost linear and what is held below twice what came.
        let from = frame.len();
        let to = whole.min(FIRST_CAPACITY.max(from * 2));
        frame.resize(to, 0);
        fill(stream, &mut frame[from..], rules.idle).await?;
    }
    Ok(frame)
}

/// Writes bytes and flushes them.
///
/// # Errors
/// [`FrameError::Idle`] if the peer takes nothing for `idle`, [`FrameError::Io`] if the stream broke.
pub(super) async fn write_all(
    stream: &mut (impl AsyncWrite + Unpin),
    bytes: &[u8],
    idle: Duration,
) -> Result<(), FrameError> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let part = &rest[..rest.len().min(WRITE_BYTES)];
        let written = within(idle, stream.write(part)).await?;
        if written == 0 {
            return Err(FrameError::Io(io::ErrorKind::WriteZero.into()));
        }
        rest = &rest[written..];
    }
    within(idle, stream.flush()).await
}

/// Joins frames so that one write and one flush carry many; no part is over [`WRITE_BYTES`] unless one frame is.
pub(super) fn coalesce(frames: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for frame in frames {
        match parts.last_mut() {
            Some(part) if part.len() + frame.len() <= WRITE_BYTES => part.extend_from_slice(&frame),
            _ => parts.push(frame),
        }
    }
    parts
}

async fn fill(stream: &mut (impl AsyncRead + Unpin), bytes: &mut [u8], idle: Duration) -> Result<(), FrameError> {
    let mut filled = 0;
    while filled < bytes.len() {
        match read_some(stream, &mut bytes[filled..], idle).await? {
            0 => return Err(FrameError::Truncated),
            read => filled += read,
        }
    }
    Ok(())
}

async fn read_some(
    stream: &mut (impl AsyncRead + Unpin),
    bytes: &mut [u8],
    idle: Duration,
) -> Result<usize, FrameError> {
    within(idle, stream.read(bytes)).await
}

async fn within<T>(idle: Duration, work: impl Future<Output = io::Result<T>>) -> Result<T, FrameError> {
    match tokio::time::timeout(idle, work).await {
        Ok(result) => result.map_err(FrameError::Io),
        Err(_) => Err(FrameError::Idle),
    }
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    const RULES: FrameRules =
        FrameRules { length_max: 1_000, idle: Duration::from_millis(20), begin: Begin::WithinIdle };

    fn frame(tag: u16, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len() + 2).expect("small");
        [&length.to_be_bytes()[..], &tag.to_be_bytes(), content].concat()
    }

    #[tokio::test]
    async fn frames_come_back_as_they_were_written() {
        let frames = vec![frame(10, b"abc"), frame(12, &[1]), frame(7, &[9; 900])];
        let mut wire = Cursor::new(Vec::new());
        for part in coalesce(frames.clone()) {
            write_all(&mut wire, &part, RULES.idle).await.expect("memory takes all");
        }
        wire.set_position(0);
        for expected in &frames {
            let read = read_frame(&mut wire, RULES).await.expect("a frame");
            assert_eq!(&read, expected);
            assert!(is_whole(&read));
        }
        assert_eq!(tag(&frames[1]), TAG_END);
        assert!(matches!(read_frame(&mut wire, RULES).await, Err(FrameError::Ended)));
    }

    #[tokio::test]
    async fn a_length_over_the_bound_is_refused_before_its_bytes() {
        for length in [0, 1, 1_001, u32::MAX] {
            let mut wire = Cursor::new(length.to_be_bytes().to_vec());
            let error = read_frame(&mut wire, RULES).await.expect_err("out of bounds");
            assert!(matches!(error, FrameError::Length { length: got } if got == length));
        }
    }

    #[tokio::test]
    async fn a_stream_that_ends_inside_a_frame_is_told_from_one_that_ends_between() {
        let whole = frame(5, b"abcdef");
        for cut in 1..whole.len() {
            let mut wire = Cursor::new(whole[..cut].to_vec());
            assert!(matches!(read_frame(&mut wire, RULES).await, Err(FrameError::Truncated)), "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn silence_inside_a_frame_ends_at_the_idle_deadline() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut theirs, &[0, 0, 0, 9, 0]).await.expect("room");
        let mut stream = Compat(ours);
        let rules = FrameRules { begin: Begin::AnyTime, ..RULES };
        assert!(matches!(read_frame(&mut stream, rules).await, Err(FrameError::Idle)));
    }

    struct Compat(tokio::io::DuplexStream);

    impl AsyncRead for Compat {
        fn poll_read(
            mut self: std::pin::Pin<&mut Self>,
            cx: &mut std::task::Context<'_>,
            bytes: &mut [u8],
        ) -> std::task::Poll<io::Result<usize>> {
            let mut buffer = tokio::io::ReadBuf::new(bytes);
            let polled = tokio::io::AsyncRead::poll_read(std::pin::Pin::new(&mut self.0), cx, &mut buffer);
            polled.map_ok(|()| buffer.filled().len())
        }
    }
}
