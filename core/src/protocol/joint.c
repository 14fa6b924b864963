#include "protocol/joint.h"

uint64_t joint_majority_commit(const uint64_t *acknowledged, size_t voters) {
    return voters ? quorum_reached(acknowledged, voters, quorum_majority(voters)) : JOINT_UNBOUNDED;
}

enum quorum_result joint_majority_vote(const uint8_t *ballots, size_t voters) {
    size_t granted = 0, refused = 0;
    if (!voters) return QUORUM_WON;
    for (size_t i = 0; i < voters; i++) {
        granted += ballots[i] == JOINT_YES;
        refused += ballots[i] == JOINT_NO;
    }
    return quorum_vote(granted, refused, voters);
}
