/* Every message, once. M(number, name, NAME) lists the messages; for each, WIRE_NAME_FIXED lists its fixed
 * fields F(type, name) and WIRE_NAME_BLOBS its byte strings B(name), which follow them on the wire. Structs,
 * encoder, decoder and the human-readable form all come from these lists. Numbers cross the wire and the trace:
 * never reuse one. */
#ifndef WIRE_MESSAGES_H
#define WIRE_MESSAGES_H

/* clang-format off */
#define WIRE_MESSAGES(M) \
    M(1, ping, PING) \
    M(2, client_request, CLIENT_REQUEST) \
    M(3, client_reply, CLIENT_REPLY) \
    M(4, heartbeat, HEARTBEAT) \
    M(10, vote_request, VOTE_REQUEST) \
    M(11, vote_reply, VOTE_REPLY) \
    M(12, append_request, APPEND_REQUEST) \
    M(13, append_reply, APPEND_REPLY) \
    M(14, snapshot_chunk, SNAPSHOT_CHUNK) \
    M(15, snapshot_reply, SNAPSHOT_REPLY) \
    M(16, recover_request, RECOVER_REQUEST) \
    M(17, recover_reply, RECOVER_REPLY) \
    M(20, paxos_prepare, PAXOS_PREPARE) \
    M(21, paxos_promise, PAXOS_PROMISE) \
    M(22, paxos_accept, PAXOS_ACCEPT) \
    M(23, paxos_accepted, PAXOS_ACCEPTED) \
    M(24, paxos_refuse, PAXOS_REFUSE) \
    M(25, paxos_learn, PAXOS_LEARN) \
    M(26, paxos_ask, PAXOS_ASK) \
    M(27, flood, FLOOD) \
    M(28, flood_state, FLOOD_STATE) \
    M(29, benor, BENOR) \
    M(30, replicate_request, REPLICATE_REQUEST) \
    M(31, replicate_reply, REPLICATE_REPLY) \
    M(32, epoch_request, EPOCH_REQUEST) \
    M(33, epoch_reply, EPOCH_REPLY) \
    M(34, view_request, VIEW_REQUEST) \
    M(35, view_reply, VIEW_REPLY) \
    M(36, timestamp_election, TIMESTAMP_ELECTION) \
    M(37, bully, BULLY) \
    M(38, ring, RING) \
    M(39, ring_confirmed, RING_CONFIRMED) \
    M(40, commit_begin, COMMIT_BEGIN) \
    M(41, commit_prepare, COMMIT_PREPARE) \
    M(42, commit_vote, COMMIT_VOTE) \
    M(43, commit_decision, COMMIT_DECISION) \
    M(44, commit_ack, COMMIT_ACK) \
    M(45, commit_inquiry, COMMIT_INQUIRY) \
    M(46, commit_precommit, COMMIT_PRECOMMIT) \
    M(47, commit_precommit_ack, COMMIT_PRECOMMIT_ACK) \
    M(48, commit_state_request, COMMIT_STATE_REQUEST) \
    M(49, commit_state_reply, COMMIT_STATE_REPLY) \
    M(60, script, SCRIPT)

/* The null protocol of the benchmarks. */
#define WIRE_PING_FIXED(F) F(uint64_t, term) F(uint64_t, hops) F(uint64_t, a) F(uint64_t, b) F(uint64_t, c)
#define WIRE_PING_BLOBS(B)

/* A client's request to a node (operation: enum client_operation in client/request.h) and the answer. */
#define WIRE_CLIENT_REQUEST_FIXED(F) F(uint64_t, session) F(uint64_t, sequence) F(uint64_t, number) F(uint8_t, operation)
#define WIRE_CLIENT_REQUEST_BLOBS(B) B(data)
#define WIRE_CLIENT_REPLY_FIXED(F) F(uint64_t, number) F(uint64_t, term) F(uint64_t, index) F(uint32_t, status) F(uint16_t, leader)
#define WIRE_CLIENT_REPLY_BLOBS(B) B(data)

/* A failure detector's sign of life, with its sender's state; numbered from 1 in each incarnation. asks: a poll, answered
 * with the same number. */
#define WIRE_HEARTBEAT_FIXED(F) F(uint64_t, number) F(uint64_t, term) F(uint64_t, applied) F(uint64_t, load) F(uint8_t, role) \
    F(uint8_t, asks)
#define WIRE_HEARTBEAT_BLOBS(B)

/* A message of a script: whatever its author puts into it (protocol/script.h). form: 1, bytes that the script's own
 * language gave; others are reserved. */
#define WIRE_SCRIPT_FIXED(F) F(uint8_t, form)
#define WIRE_SCRIPT_BLOBS(B) B(data)

/* Raft (Ongaro 2014, figure 3.1, with section numbers beside what it adds). pre: a pre-vote, 9.6. */
#define WIRE_VOTE_REQUEST_FIXED(F) F(uint64_t, term) F(uint64_t, last_index) F(uint64_t, last_term) F(uint8_t, pre)
#define WIRE_VOTE_REQUEST_BLOBS(B)
#define WIRE_VOTE_REPLY_FIXED(F) F(uint64_t, term) F(uint8_t, pre) F(uint8_t, granted)
#define WIRE_VOTE_REPLY_BLOBS(B)
/* round: the leader's ReadIndex and check-quorum round, echoed by the answer (6.4). */
#define WIRE_APPEND_REQUEST_FIXED(F) F(uint64_t, term) F(uint64_t, previous_index) F(uint64_t, previous_term) \
    F(uint64_t, commit) F(uint64_t, round) F(uint32_t, count)
#define WIRE_APPEND_REQUEST_BLOBS(B) B(entries)
/* success: match is the last index known to agree; refusal of previous_index `refused`: match is where the leader may
 * try next, and conflict_term the term that stands there (5.3). counts is 0 from a member that is recovering from the
 * loss of its disk: its answer moves the flow on, but belongs to no quorum. Bit 1 of it: the sender's disk is full. */
#define WIRE_APPEND_REPLY_FIXED(F) F(uint64_t, term) F(uint64_t, match) F(uint64_t, conflict_term) F(uint64_t, round) \
    F(uint64_t, refused) F(uint8_t, success) F(uint8_t, counts)
#define WIRE_APPEND_REPLY_BLOBS(B)
#define WIRE_SNAPSHOT_CHUNK_FIXED(F) F(uint64_t, term) F(uint64_t, index) F(uint64_t, index_term) F(uint64_t, total) \
    F(uint64_t, offset) F(uint64_t, checksum) F(uint64_t, round)
#define WIRE_SNAPSHOT_CHUNK_BLOBS(B) B(data)
#define WIRE_SNAPSHOT_REPLY_FIXED(F) F(uint64_t, term) F(uint64_t, index) F(uint64_t, offset) F(uint64_t, round) F(uint8_t, done) \
    F(uint8_t, counts)
#define WIRE_SNAPSHOT_REPLY_BLOBS(B)
/* A wiped member asks how far it must catch up before it may vote or count. A leader (leader 1) answers with the
 * index of an entry that it appended after the question; the others with their own last index. */
#define WIRE_RECOVER_REQUEST_FIXED(F) F(uint64_t, nonce)
#define WIRE_RECOVER_REQUEST_BLOBS(B)
#define WIRE_RECOVER_REPLY_FIXED(F) F(uint64_t, nonce) F(uint64_t, term) F(uint64_t, last_index) F(uint64_t, commit) \
    F(uint8_t, leader)
#define WIRE_RECOVER_REPLY_BLOBS(B)

/* Atomic commit. transaction: its number (protocol/transaction.h); data: what was proposed. begin: a participant's
 * readiness, which begins the transaction (Gray and Lamport 2006, section 2). settled: the sender's transactions with a
 * sequence below it are over, and may be forgotten. vote: qrt_vote. outcome: 1 commit, 2 abort. */
#define WIRE_COMMIT_BEGIN_FIXED(F) F(uint64_t, transaction)
#define WIRE_COMMIT_BEGIN_BLOBS(B) B(data)
#define WIRE_COMMIT_PREPARE_FIXED(F) F(uint64_t, transaction) F(uint64_t, settled)
#define WIRE_COMMIT_PREPARE_BLOBS(B) B(data)
#define WIRE_COMMIT_VOTE_FIXED(F) F(uint64_t, transaction) F(uint8_t, vote)
#define WIRE_COMMIT_VOTE_BLOBS(B)
#define WIRE_COMMIT_DECISION_FIXED(F) F(uint64_t, transaction) F(uint8_t, outcome)
#define WIRE_COMMIT_DECISION_BLOBS(B)
#define WIRE_COMMIT_ACK_FIXED(F) F(uint64_t, transaction)
#define WIRE_COMMIT_ACK_BLOBS(B)
#define WIRE_COMMIT_INQUIRY_FIXED(F) F(uint64_t, transaction)
#define WIRE_COMMIT_INQUIRY_BLOBS(B)
/* Three-phase commit. state: enum three_phase_own; recovering: the sender has crashed since it voted. */
#define WIRE_COMMIT_PRECOMMIT_FIXED(F) F(uint64_t, transaction)
#define WIRE_COMMIT_PRECOMMIT_BLOBS(B)
#define WIRE_COMMIT_PRECOMMIT_ACK_FIXED(F) F(uint64_t, transaction)
#define WIRE_COMMIT_PRECOMMIT_ACK_BLOBS(B)
#define WIRE_COMMIT_STATE_REQUEST_FIXED(F) F(uint64_t, transaction) F(uint8_t, recovering)
#define WIRE_COMMIT_STATE_REQUEST_BLOBS(B)
#define WIRE_COMMIT_STATE_REPLY_FIXED(F) F(uint64_t, transaction) F(uint8_t, state) F(uint8_t, recovering)
#define WIRE_COMMIT_STATE_REPLY_BLOBS(B)
/* Single-decree Paxos (Lamport 2001, section 2.2), one instance for each decree. The names are those of its phases: 1a,
 * 1b, 2a, 2b. accepted: the ballot in which the acceptor accepted the value, 0 none. promised: what stands in the way. */
#define WIRE_PAXOS_PREPARE_FIXED(F) F(uint64_t, instance) F(uint64_t, ballot)
#define WIRE_PAXOS_PREPARE_BLOBS(B)
#define WIRE_PAXOS_PROMISE_FIXED(F) F(uint64_t, instance) F(uint64_t, ballot) F(uint64_t, accepted)
#define WIRE_PAXOS_PROMISE_BLOBS(B) B(value)
#define WIRE_PAXOS_ACCEPT_FIXED(F) F(uint64_t, instance) F(uint64_t, ballot)
#define WIRE_PAXOS_ACCEPT_BLOBS(B) B(value)
#define WIRE_PAXOS_ACCEPTED_FIXED(F) F(uint64_t, instance) F(uint64_t, ballot)
#define WIRE_PAXOS_ACCEPTED_BLOBS(B)
#define WIRE_PAXOS_REFUSE_FIXED(F) F(uint64_t, instance) F(uint64_t, ballot) F(uint64_t, promised)
#define WIRE_PAXOS_REFUSE_BLOBS(B)
/* What was chosen, and in which ballot. known: the sender knows all decisions up to here. more: 1 when the next one
 * follows at once. An ask wants the decisions from `instance` on. */
#define WIRE_PAXOS_LEARN_FIXED(F) F(uint64_t, instance) F(uint64_t, ballot) F(uint64_t, known) F(uint8_t, more)
#define WIRE_PAXOS_LEARN_BLOBS(B) B(value)
#define WIRE_PAXOS_ASK_FIXED(F) F(uint64_t, instance)
#define WIRE_PAXOS_ASK_BLOBS(B)

/* FloodSet (Lynch 1996, section 6.2): the least value that the sender knows (knows 1), or that it knows none. A node that
 * has come back asks (asks 1) which instance was the last to begin, and is told (begun). */
#define WIRE_FLOOD_FIXED(F) F(uint64_t, instance) F(uint32_t, round) F(uint8_t, knows)
#define WIRE_FLOOD_BLOBS(B) B(value)
#define WIRE_FLOOD_STATE_FIXED(F) F(uint64_t, begun) F(uint8_t, asks)
#define WIRE_FLOOD_STATE_BLOBS(B)

/* Ben-Or (1983). what: 1 a report, 2 a suggestion (has 0: of nothing), 3 a decision, 4 an ask for one. asks: 1 when it is
 * said again because the sender wants to hear the receiver's. known: the sender knows all decisions up to here. */
#define WIRE_BENOR_FIXED(F) F(uint64_t, instance) F(uint64_t, known) F(uint32_t, round) F(uint8_t, what) \
    F(uint8_t, asks) F(uint8_t, has)
#define WIRE_BENOR_BLOBS(B) B(value)

/* Primary-backup. round: for reads, echoed by the answer. success: match is the last index known to agree; refusal of
 * previous_index `refused`: match is where the primary may try next, hint_epoch the epoch that stands there. */
#define WIRE_REPLICATE_REQUEST_FIXED(F) F(uint64_t, epoch) F(uint64_t, previous_index) F(uint64_t, previous_epoch) \
    F(uint64_t, commit) F(uint64_t, round) F(uint32_t, count)
#define WIRE_REPLICATE_REQUEST_BLOBS(B) B(entries)
#define WIRE_REPLICATE_REPLY_FIXED(F) F(uint64_t, epoch) F(uint64_t, match) F(uint64_t, hint_epoch) F(uint64_t, round) \
    F(uint64_t, refused) F(uint8_t, success)
#define WIRE_REPLICATE_REPLY_BLOBS(B)
/* A monitor promises an epoch, and tells the latest view that it has accepted: bit s of low and high is member s.
 * pre: it would promise, and promises nothing. */
#define WIRE_EPOCH_REQUEST_FIXED(F) F(uint64_t, epoch) F(uint64_t, last_index) F(uint64_t, last_epoch) F(uint8_t, pre)
#define WIRE_EPOCH_REQUEST_BLOBS(B)
#define WIRE_EPOCH_REPLY_FIXED(F) F(uint64_t, epoch) F(uint64_t, view_epoch) F(uint64_t, view_version) \
    F(uint64_t, in_sync_low) F(uint64_t, in_sync_high) F(uint8_t, pre) F(uint8_t, granted)
#define WIRE_EPOCH_REPLY_BLOBS(B)
/* version 0 in the answer: the monitor has promised a later epoch. */
#define WIRE_VIEW_REQUEST_FIXED(F) F(uint64_t, epoch) F(uint64_t, version) F(uint64_t, in_sync_low) F(uint64_t, in_sync_high)
#define WIRE_VIEW_REQUEST_BLOBS(B)
#define WIRE_VIEW_REPLY_FIXED(F) F(uint64_t, epoch) F(uint64_t, version)
#define WIRE_VIEW_REPLY_BLOBS(B)

/* Elections; the stages are each protocol's own. timestamp: of a reply, ns of the sender's wall clock at its start; leader:
 * of a result. epoch: of bully and ring the highest that the sender has heard of, or that of the leader announced.
 * number: what the neighbour on the ring confirms; hops: how many nodes the id has left behind, with this sender. */
#define WIRE_TIMESTAMP_ELECTION_FIXED(F) F(uint64_t, epoch) F(uint64_t, timestamp) F(uint16_t, leader) F(uint8_t, stage)
#define WIRE_TIMESTAMP_ELECTION_BLOBS(B)
#define WIRE_BULLY_FIXED(F) F(uint64_t, epoch) F(uint8_t, stage)
#define WIRE_BULLY_BLOBS(B)
#define WIRE_RING_FIXED(F) F(uint64_t, number) F(uint64_t, epoch) F(uint16_t, candidate) F(uint16_t, hops) F(uint8_t, stage)
#define WIRE_RING_BLOBS(B)
#define WIRE_RING_CONFIRMED_FIXED(F) F(uint64_t, number)
#define WIRE_RING_CONFIRMED_BLOBS(B)
/* clang-format on */

#endif
