//! Every frame and every packed run: it decodes within its bounds or is refused, and says the same encoded again.

use comity_protocol::ids::AllianceId;
use comity_protocol::limits::{
    BODY_BYTES_MAX, BY_ID_MAX, CONTROL_HAVE_MAX, CONTROL_RECORD_BYTES_MAX, CONTROL_REPLY_MAX, FRONTIER_ENTRIES_MAX,
    FRONTIER_HEADS_MAX, PUSH_ENVELOPES_MAX, RUN_ITEMS_MAX,
};
use comity_protocol::message::run::{Run, RunBody};
use comity_protocol::message::{Frame, TAG_RUN};

const PLAIN: u8 = 0;
const PACKED: u8 = 1;

/// Reads a first byte as what follows: an even one a frame, 1 mod 4 a plain run, 3 mod 4 a run to be compressed first.
pub fn run(bytes: &[u8]) {
    let Some((&form, rest)) = bytes.split_first() else { return };
    match form % 4 {
        1 => frame(&[&TAG_RUN.to_be_bytes()[..], &[PLAIN], rest].concat()),
        3 => frame(&packed(rest)),
        _ => frame(rest),
    }
}

/// Wraps the bytes of a run as a sender does that compresses whatever it has.
fn packed(run: &[u8]) -> Vec<u8> {
    let length = u32::try_from(run.len()).expect("a fuzzer's input is small");
    let packed = zstd::bulk::compress(run, 1).expect("memory compresses");
    [&TAG_RUN.to_be_bytes()[..], &[PACKED], &length.to_be_bytes(), &packed].concat()
}

fn frame(bytes: &[u8]) {
    let Ok(frame) = Frame::decode(bytes) else { return };
    assert_eq!(frame.tag().to_be_bytes(), bytes[..2]);
    let again = frame.encode();
    if let Frame::Run(run) = &frame {
        // Whether and how well a run is compressed is the sender's choice; the run itself has one encoding.
        assert_eq!(Run::decode(&run.encode()).as_ref(), Ok(run));
        if bytes[2] == PLAIN {
            assert_eq!(run.encode(), bytes[3..], "one run, one encoding");
        }
    } else {
        assert_eq!(again, bytes, "one frame, one encoding");
    }
    assert_eq!(Frame::decode(&again).as_ref(), Ok(&frame));
    bounds(frame);
}

/// Holds a decoded frame against the bounds of the rules.
fn bounds(frame: Frame) {
    match frame {
        Frame::Control(request) => assert!(request.have.len() <= CONTROL_HAVE_MAX && request.have.is_sorted()),
        Frame::ControlReply(reply) => {
            assert!(reply.records.len() <= CONTROL_REPLY_MAX);
            assert!(reply.records.iter().all(|(_, bytes)| bytes.len() <= CONTROL_RECORD_BYTES_MAX));
        }
        Frame::FrontierReply(entries) => {
            assert!(entries.len() <= FRONTIER_ENTRIES_MAX && entries.is_sorted_by_key(|entry| entry.author));
            assert!(entries.iter().all(|entry| entry.heads.len() <= FRONTIER_HEADS_MAX));
        }
        Frame::Range(range) => assert!(1 <= range.from && range.from <= range.to),
        Frame::Run(run) => run_bounds(run),
        Frame::ById(request) => assert!(request.ids.len() <= BY_ID_MAX && request.ids.is_sorted()),
        Frame::ByIdReply(items) => assert!(items.len() <= BY_ID_MAX),
        Frame::Push(envelopes) => {
            assert!(envelopes.len() <= PUSH_ENVELOPES_MAX);
            assert!(envelopes.iter().all(|envelope| envelope.body.len() <= BODY_BYTES_MAX));
        }
        Frame::Hello(_) | Frame::Frontier | Frame::Heartbeat(_) | Frame::End(_) | Frame::Refused(_) => {}
    }
}

fn run_bounds(run: Run) {
    assert!((1..=RUN_ITEMS_MAX).contains(&run.items.len()));
    let size = |body: &RunBody| if let RunBody::Held(bytes) = body { bytes.len() } else { 0 };
    assert!(run.items.iter().all(|item| size(&item.body) <= BODY_BYTES_MAX));
    let (author, count, first) = (run.author, run.items.len(), run.first_seq);
    // All of it stands, or none of it.
    if let Ok(items) = run.verify(&AllianceId::new([1; 32])) {
        assert_eq!(items.len(), count);
        for (seq, item) in (first..).zip(&items) {
            assert_eq!((item.header.header().author_id(), item.header.header().seq), (author, seq));
            assert!(item.body.as_ref().is_none_or(|body| item.header.header().body_matches(body)));
        }
    }
}
