//! Every bound of the protocol, with its reason (spec 4.11).

/// Latest claimed time of a record: the last millisecond of the year 9999, so that every time prints as RFC 3339.
pub const TIME_MS_MAX: u64 = 253_402_300_799_999;
/// Bytes of a header in its fixed layout (spec 4.3.4).
pub const HEADER_BYTES: usize = 183;
/// Bytes of an ed25519 signature.
pub const SIGNATURE_BYTES: usize = 64;
/// What an envelope costs its chain's quota beside its body: header and signature.
pub const ENVELOPE_OVERHEAD_BYTES: u64 = 247;
/// Largest body; a constant, so that receipt never depends on the charter.
pub const BODY_BYTES_MAX: usize = 65_536;
/// Most nations of one alliance at a time.
pub const NATIONS_MAX: usize = 64;
/// Most keys a roster may ever list.
pub const ROSTER_KEYS_MAX: usize = 256;
/// Highest roster version of one generation.
pub const ROSTER_VERSION_MAX: u64 = 4_096;
/// Most changes in a motion.
pub const MOTION_CHANGES_MAX: usize = 16;
/// Longest motion text.
pub const MOTION_TEXT_BYTES_MAX: usize = 16_384;
/// Rounds of voting are 0 to 63.
pub const VOTE_ROUNDS: u16 = 64;
/// Longest string in a control record.
pub const CONTROL_STRING_BYTES_MAX: usize = 64;
/// Most cuts of a Remove: one for each key a roster may ever list.
pub const CUTS_MAX: usize = ROSTER_KEYS_MAX;
/// Most acknowledgements in one witness body; what fits a body anyway.
pub const WITNESS_ACKS_MAX: usize = 512;
/// Most key wraps in one grant: 64 nations with 8 keys each would not fit a body, 512 padded to 16 do.
pub const GRANT_WRAPS_MAX: usize = 512;
/// Most earlier keys named in one grant.
pub const GRANT_PREV_MAX: usize = 128;

/// Largest frame, its length field excluded: a run of 1 MiB plus room for its head (1.25 MiB).
pub const FRAME_BYTES_MAX: usize = 1_310_720;
/// Largest run once decompressed.
pub const RUN_BYTES_MAX: usize = 1_048_576;
/// Most items of a run.
pub const RUN_ITEMS_MAX: usize = 4_096;
/// Largest push frame.
pub const PUSH_BYTES_MAX: usize = 131_072;
/// Most envelopes of one push frame: as many as fit it without bodies.
pub const PUSH_ENVELOPES_MAX: usize = 512;
/// Highest sequence number: most stores and tools count in signed 64 bits.
pub const SEQ_MAX: u64 = 9_223_372_036_854_775_807;
/// Largest control record in its signed form: a Remove of 16 nations with 256 cuts each stays below.
pub const CONTROL_RECORD_BYTES_MAX: usize = 524_288;
/// Most ids of one ById request.
pub const BY_ID_MAX: usize = 64;
/// Most ids of one page of a Control request.
pub const CONTROL_HAVE_MAX: usize = 4_096;
/// Most entries of a frontier reply: 64 nations, present or removed, with a few keys each stay far below.
pub const FRONTIER_ENTRIES_MAX: usize = 16_384;
/// Most branch heads named for one author.
pub const FRONTIER_HEADS_MAX: usize = 256;
/// Most control records in one reply frame.
pub const CONTROL_REPLY_MAX: usize = 4_096;
/// A header is a signature point where its seq is a multiple of this (spec 4.13.1).
pub const SIGNATURE_POINT_SEQ: u64 = 256;
/// … or where the chain's cumulative bytes cross a multiple of this (spec 4.13.1).
pub const SIGNATURE_POINT_BYTES: u64 = 524_288;
/// Headers kept of each suspended branch of a forked author.
pub const FORK_BRANCH_HEADERS_MAX: usize = 1_024;

/// Largest Automerge change.
pub const CHANGE_BYTES_MAX: usize = 65_000;
/// Most operations of a change.
pub const CHANGE_OPS_MAX: usize = 2_048;
/// Most dependencies of a change.
pub const CHANGE_DEPS_MAX: usize = 64;
/// Most other actors a change may name.
pub const CHANGE_ACTORS_MAX: usize = 64;
/// Longest commit message of a change.
pub const CHANGE_MESSAGE_BYTES_MAX: usize = 256;
/// Deepest map nesting, the root counting as 0.
pub const CHANGE_DEPTH_MAX: usize = 8;
/// Longest map key.
pub const CHANGE_KEY_BYTES_MAX: usize = 128;
/// Largest scalar value.
pub const CHANGE_VALUE_BYTES_MAX: usize = 16_384;
/// Operation counters stay below this, far from the change library's 32-bit edge.
pub const CHANGE_OP_COUNTER_MAX: u64 = 1 << 30;
/// Most actors in the ancestry of a change: two generations for each key a roster may ever list. It bounds what the guard
/// remembers of a change whatever the number of generations its author opens.
pub const CHANGE_CLOCK_ACTORS_MAX: usize = 512;
/// Bytes of an Automerge actor: author key and a 4-byte generation (D12).
pub const ACTOR_BYTES: usize = 36;

/// Largest quantity, in the base unit of its dimension (spec 4.19).
pub const QUANTITY_MAX: u64 = 1_000_000_000_000_000;

/// Lobby links at a time (spec 4.13).
pub const LOBBY_LINKS_MAX: usize = 8;
/// How long a stranger may stay in the lobby.
pub const LOBBY_MS: u64 = 15_000;
/// Most bytes accepted from a lobby link.
pub const LOBBY_BYTES_MAX: u64 = 1_048_576;
/// Most record versions in one write: what comfortably fits one change.
pub const WRITES_PER_REQUEST_MAX: usize = 64;
/// Longest idempotency key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// Our own open exchanges per link.
pub const EXCHANGES_PER_LINK_MAX: usize = 8;
/// Inbound requests per link: refill per second.
pub const REQUESTS_PER_SECOND: u64 = 20;
/// Inbound requests per link: burst.
pub const REQUESTS_BURST: u64 = 100;
/// Bytes queued for one link's push stream before the link counts as behind.
pub const PUSH_QUEUE_BYTES_MAX: usize = 1_048_576;
/// Full runs of one answer: 4 MiB decompressed at most, in as many runs as a forked chain has branches; what is left is asked
/// for again.
pub const RUNS_PER_ANSWER_MAX: usize = 4;
/// Control records of one answer, in bytes; what is left is asked for again.
pub const CONTROL_ANSWER_BYTES_MAX: usize = 8_388_608;
/// A frame of control records is closed at this size.
pub const CONTROL_FRAME_BYTES: usize = 524_288;
/// Entries in one frame of a frontier: with a few heads each it stays below the largest frame.
pub const FRONTIER_FRAME_ENTRIES: usize = 2_048;
/// Requests refused for their rate, one after the other, that close a link.
pub const RATE_REFUSALS_MAX: u64 = 200;
/// Peers remembered with what they showed.
pub const PEERS_MAX: usize = 1_024;
/// Sets we held lately that a peer's digest is compared with.
pub const HISTORY_SETS_MAX: usize = 64;
/// Entries of these sets in all.
pub const HISTORY_ENTRIES_MAX: usize = 16_384;
/// Pushes that came in are acknowledged by a heartbeat this soon, however many came.
pub const PROMPT_HEARTBEAT_MS: u64 = 40;
/// An envelope of somebody else is passed on after this long, to peers that have not shown it by then.
pub const RELAY_MS: u64 = 500;
/// Runs of at most this many items are passed on like pushes; longer ones are catch-up, which peers do for themselves.
pub const RELAY_RUN_ITEMS_MAX: usize = 16;
/// Frontiers are asked for at most this often on one link.
pub const FRONTIER_SPACING_MS: u64 = 200;
/// A range that brought nothing is asked for again after this, doubling up to [`SEEK_RETRY_MAX_MS`].
pub const SEEK_RETRY_MS: u64 = 2_000;
/// Longest pause before a range that brought nothing is asked for again.
pub const SEEK_RETRY_MAX_MS: u64 = 300_000;
/// A range is given up after this long, so that a slow peer does not keep others from delivering it.
pub const FETCH_MAX_MS: u64 = 120_000;
/// What nations acknowledge and nobody delivers for this long is withheld.
pub const WITHHELD_MS: u64 = 600_000;
/// A nation of which nothing was heard for so many of a witness's heartbeats is silent: one may be late, four are not.
pub const SILENT_AFTER_HEARTBEATS: u64 = 4;
/// How often what is acknowledged and not held is looked at.
pub const WITHHELD_STEP_MS: u64 = 60_000;
/// Envelopes of one author watched for being withheld; more say nothing new.
pub const WITHHELD_WATCHED_MAX: usize = 16;
/// First step down below a cut that does not link; doubles with every step.
pub const CUT_STEP: u64 = 256;
/// Headers of a forked chain held beyond what every store keeps, before they are forgotten.
pub const HEADERS_UNKEPT_MAX: usize = 4_096;
/// Headers of all forked chains together held beyond that, before those of the chains that hold the most are forgotten.
pub const HEADERS_UNKEPT_IN_ALL_MAX: usize = 8 * HEADERS_UNKEPT_MAX;
/// Bytes of the bodies of such headers that wait in memory, of one chain: more than a node writes between two words of its
/// witness.
pub const UNKEPT_BYTES_MAX: usize = 16_777_216;
/// Bytes of them of all chains together.
pub const UNKEPT_BYTES_IN_ALL_MAX: usize = 4 * UNKEPT_BYTES_MAX;
/// Control records held beyond those kept, before they are forgotten.
pub const CONTROL_UNKEPT_MAX: usize = 1_024;
/// Writes whose callers wait for other nations at a time.
pub const WAITING_WRITES_MAX: usize = 4_096;
/// Answers remembered under idempotency keys; the oldest is forgotten first.
pub const REMEMBERED_MAX: usize = 262_144;
/// Heartbeats are sent this often.
pub const HEARTBEAT_MS: u64 = 2_000;
/// A wake-up that comes this late says that this node stood still, not its peers.
pub const STOOD_STILL_MS: u64 = 1_000;
/// A link that says nothing for this long is dead.
pub const LINK_DEAD_MS: u64 = 6_000;
/// A regular Hello is sent this often, give or take a jitter of a quarter.
pub const HELLO_MS: u64 = 30_000;
/// A differing `held` in heartbeats must last this long before it triggers an exchange.
pub const HELD_DIFFERS_MS: u64 = 1_000;
/// A reply that makes no progress for this long fails the exchange.
pub const EXCHANGE_IDLE_MS: u64 = 15_000;
/// Strikes that close a link.
pub const STRIKES_MAX: u32 = 3;
/// Strikes older than this are forgotten.
pub const STRIKE_WINDOW_MS: u64 = 600_000;
/// First back-off after three strikes; doubles up to [`STRIKE_BACKOFF_MAX_MS`].
pub const STRIKE_BACKOFF_MS: u64 = 600_000;
/// Longest back-off after strikes.
pub const STRIKE_BACKOFF_MAX_MS: u64 = 21_600_000;
