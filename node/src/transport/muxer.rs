//! A connection that closes in bounded time.
//!
//! libp2p closes a connection by flushing it. Through a link that silently swallows bytes, with a full send buffer, that
//! flush ends only when the system gives up, a quarter of an hour later, and the connection counts against its limits for
//! as long. Here it may flush for a moment; then the socket is dropped.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use libp2p::core::StreamMuxer;
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerEvent};
use tokio::time::{Sleep, sleep};

/// A multiplexed connection whose close takes at most `close`.
pub(super) struct BoundedClose {
    inner: StreamMuxerBox,
    close: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl BoundedClose {
    /// Bounds the close of `inner`.
    pub(super) fn new(inner: StreamMuxerBox, close: Duration) -> Self {
        Self { inner, close, deadline: None }
    }
}

impl StreamMuxer for BoundedClose {
    type Substream = <StreamMuxerBox as StreamMuxer>::Substream;
    type Error = <StreamMuxerBox as StreamMuxer>::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Self::Substream, Self::Error>> {
        Pin::new(&mut self.inner).poll_inbound(cx)
    }

    fn poll_outbound(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Self::Substream, Self::Error>> {
        Pin::new(&mut self.inner).poll_outbound(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        if let Poll::Ready(closed) = Pin::new(&mut self.inner).poll_close(cx) {
            return Poll::Ready(closed);
        }
        let close = self.close;
        self.deadline.get_or_insert_with(|| Box::pin(sleep(close))).as_mut().poll(cx).map(Ok)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Self::Error>> {
        Pin::new(&mut self.inner).poll(cx)
    }
}
