//! The handler of one connection: passes streams between the connection and the link's task, and loses none.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use libp2p::core::upgrade::{InboundUpgrade, OutboundUpgrade, UpgradeInfo};
use libp2p::swarm::handler::{ConnectionEvent, FullyNegotiatedInbound, FullyNegotiatedOutbound};
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol};
use libp2p::{Stream, StreamProtocol};

use super::{INBOUND_MAX, Inbound, OpenRequest, Protocol};

/// Offers protocols and hands the stream over as it is.
#[derive(Clone, Copy, Debug)]
pub(in crate::transport) enum Offer {
    /// What the peer may open.
    Any,
    /// What we open.
    One(Protocol),
}

impl UpgradeInfo for Offer {
    type Info = StreamProtocol;
    type InfoIter = Vec<StreamProtocol>;

    fn protocol_info(&self) -> Vec<StreamProtocol> {
        match self {
            Self::Any => Protocol::ALL.map(Protocol::name).to_vec(),
            Self::One(protocol) => vec![protocol.name()],
        }
    }
}

impl InboundUpgrade<Stream> for Offer {
    type Output = Inbound;
    type Error = Infallible;
    type Future = Ready<Result<Inbound, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, name: StreamProtocol) -> Self::Future {
        let protocol = if name == Protocol::Push.name() { Protocol::Push } else { Protocol::Sync };
        ready(Ok(Inbound { protocol, stream }))
    }
}

impl OutboundUpgrade<Stream> for Offer {
    type Output = Stream;
    type Error = Infallible;
    type Future = Ready<Result<Stream, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, _: StreamProtocol) -> Self::Future {
        ready(Ok(stream))
    }
}

/// The handler of one connection.
pub(in crate::transport) struct Handler {
    requests: mpsc::Receiver<OpenRequest>,
    inbound: mpsc::Sender<Inbound>,
    /// Streams the link's task has no room for yet, at most [`INBOUND_MAX`]; more are reset.
    waiting: VecDeque<Inbound>,
    stream_open: Duration,
}

impl Handler {
    /// A handler between the two channels.
    pub(super) fn new(
        requests: mpsc::Receiver<OpenRequest>,
        inbound: mpsc::Sender<Inbound>,
        stream_open: Duration,
    ) -> Self {
        Self { requests, inbound, waiting: VecDeque::new(), stream_open }
    }

    /// Hands waiting streams up as far as there is room.
    fn deliver(&mut self, cx: &mut Context<'_>) {
        while !self.waiting.is_empty() {
            match self.inbound.poll_ready(cx) {
                Poll::Pending => return,
                Poll::Ready(Err(_)) => self.waiting.clear(),
                Poll::Ready(Ok(())) => {
                    if let Some(inbound) = self.waiting.pop_front() {
                        // Room was promised; a link that ended meanwhile drops the stream, which resets it.
                        let _ended = self.inbound.start_send(inbound);
                    }
                }
            }
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Infallible;
    type ToBehaviour = Infallible;
    type InboundProtocol = Offer;
    type OutboundProtocol = Offer;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = oneshot::Sender<Stream>;

    fn listen_protocol(&self) -> SubstreamProtocol<Offer> {
        SubstreamProtocol::new(Offer::Any, ()).with_timeout(self.stream_open)
    }

    fn connection_keep_alive(&self) -> bool {
        true
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Offer, oneshot::Sender<Stream>, Infallible>> {
        self.deliver(cx);
        while let Poll::Ready(Some(request)) = self.requests.poll_next_unpin(cx) {
            if request.reply.is_canceled() {
                continue;
            }
            let protocol = SubstreamProtocol::new(Offer::One(request.protocol), request.reply);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest {
                protocol: protocol.with_timeout(self.stream_open),
            });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: Infallible) {
        match event {}
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Offer, Offer, (), oneshot::Sender<Stream>>) {
        match event {
            // Beyond the bound the stream is dropped, which resets it.
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. })
                if self.waiting.len() < INBOUND_MAX =>
            {
                self.waiting.push_back(protocol);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                // Whoever asked may have given up; the stream is then reset.
                let _given_up = info.send(protocol);
            }
            // A failed request drops its sender, which is the answer; the rest concerns nobody here.
            _ => {}
        }
    }
}
