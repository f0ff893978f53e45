//! From what groups refuse to Kafka's error codes: here, and nowhere else.

use ottla_coordinator::{
    CommitError, CommitPartitionError, ConsumerHeartbeatError, DeleteGroupError,
    DeleteOffsetsError, DeletePartitionError, FetchOffsetsError, HeartbeatError, JoinError,
    LeaveError, SyncError,
};
use ottla_wire::ErrorCode;

use crate::groups::Unavailable;

/// All but the last a client takes for passing.
pub(super) fn unavailable_code(why: Unavailable) -> ErrorCode {
    match why {
        Unavailable::NotCoordinator => ErrorCode::NotCoordinator,
        Unavailable::Loading => ErrorCode::CoordinatorLoadInProgress,
        Unavailable::Behind | Unavailable::NotWritten => ErrorCode::CoordinatorNotAvailable,
        // What Kafka makes of a batch that is too large.
        Unavailable::TooLarge => ErrorCode::UnknownServerError,
    }
}

/// Consumers before 3.9 do not know the code that others get for what could not be written, and
/// would give up.
pub(super) fn unavailable_to_fetch_offsets(why: Unavailable) -> ErrorCode {
    match why {
        Unavailable::Loading => ErrorCode::CoordinatorLoadInProgress,
        Unavailable::NotCoordinator | Unavailable::Behind | Unavailable::NotWritten => {
            ErrorCode::NotCoordinator
        }
        Unavailable::TooLarge => ErrorCode::UnknownServerError,
    }
}

pub(super) fn join_code(error: JoinError) -> ErrorCode {
    match error {
        JoinError::InvalidGroupId => ErrorCode::InvalidGroupId,
        JoinError::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        JoinError::InconsistentGroupProtocol => ErrorCode::InconsistentGroupProtocol,
        JoinError::GroupMaxSizeReached => ErrorCode::GroupMaxSizeReached,
        JoinError::MemberIdRequired => ErrorCode::MemberIdRequired,
        JoinError::UnknownMember => ErrorCode::UnknownMemberId,
        JoinError::FencedInstance => ErrorCode::FencedInstanceId,
        JoinError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        JoinError::CoordinatorNotAvailable => ErrorCode::CoordinatorNotAvailable,
    }
}

pub(super) fn sync_code(error: SyncError) -> ErrorCode {
    match error {
        SyncError::InvalidGroupId => ErrorCode::InvalidGroupId,
        SyncError::UnknownMember => ErrorCode::UnknownMemberId,
        SyncError::FencedInstance => ErrorCode::FencedInstanceId,
        SyncError::IllegalGeneration => ErrorCode::IllegalGeneration,
        SyncError::InconsistentGroupProtocol => ErrorCode::InconsistentGroupProtocol,
        SyncError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        SyncError::AssignmentTooLarge => ErrorCode::UnknownServerError,
    }
}

pub(super) fn heartbeat_code(error: HeartbeatError) -> ErrorCode {
    match error {
        HeartbeatError::InvalidGroupId => ErrorCode::InvalidGroupId,
        HeartbeatError::UnknownMember => ErrorCode::UnknownMemberId,
        HeartbeatError::FencedInstance => ErrorCode::FencedInstanceId,
        HeartbeatError::IllegalGeneration => ErrorCode::IllegalGeneration,
        HeartbeatError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
    }
}

pub(super) fn consumer_heartbeat_code(error: &ConsumerHeartbeatError) -> ErrorCode {
    match error {
        ConsumerHeartbeatError::Invalid(_) => ErrorCode::InvalidRequest,
        ConsumerHeartbeatError::UnsupportedAssignor { .. } => ErrorCode::UnsupportedAssignor,
        ConsumerHeartbeatError::InvalidRegex(_) => ErrorCode::InvalidRegularExpression,
        ConsumerHeartbeatError::GroupNotFound(_) => ErrorCode::GroupIdNotFound,
        ConsumerHeartbeatError::GroupMaxSizeReached { .. } => ErrorCode::GroupMaxSizeReached,
        ConsumerHeartbeatError::UnknownMember { .. }
        | ConsumerHeartbeatError::UnknownInstance(_) => ErrorCode::UnknownMemberId,
        ConsumerHeartbeatError::FencedInstance { .. } => ErrorCode::FencedInstanceId,
        ConsumerHeartbeatError::UnreleasedInstance { .. } => ErrorCode::UnreleasedInstanceId,
        ConsumerHeartbeatError::EpochTooLarge { .. }
        | ConsumerHeartbeatError::EpochTooSmall { .. }
        | ConsumerHeartbeatError::UnknownState => ErrorCode::FencedMemberEpoch,
    }
}

pub(super) fn leave_code(error: LeaveError) -> ErrorCode {
    match error {
        LeaveError::UnknownMember => ErrorCode::UnknownMemberId,
        LeaveError::FencedInstance => ErrorCode::FencedInstanceId,
    }
}

/// Clients learned two of these codes with version 9 (KIP-848).
pub(super) fn commit_code(error: CommitError, version: i16) -> ErrorCode {
    match error {
        CommitError::GroupNotFound if version < 9 => ErrorCode::IllegalGeneration,
        CommitError::GroupNotFound => ErrorCode::GroupIdNotFound,
        CommitError::UnknownMember => ErrorCode::UnknownMemberId,
        CommitError::FencedInstance => ErrorCode::FencedInstanceId,
        CommitError::IllegalGeneration => ErrorCode::IllegalGeneration,
        CommitError::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        CommitError::StaleMemberEpoch if version < 9 => ErrorCode::UnsupportedVersion,
        CommitError::StaleMemberEpoch => ErrorCode::StaleMemberEpoch,
    }
}

pub(super) fn commit_partition_code(error: CommitPartitionError) -> ErrorCode {
    match error {
        CommitPartitionError::MetadataTooLarge => ErrorCode::OffsetMetadataTooLarge,
    }
}

pub(super) fn fetch_offsets_code(error: FetchOffsetsError) -> ErrorCode {
    match error {
        FetchOffsetsError::UnknownMember => ErrorCode::UnknownMemberId,
        FetchOffsetsError::IllegalGeneration => ErrorCode::IllegalGeneration,
        FetchOffsetsError::StaleMemberEpoch => ErrorCode::StaleMemberEpoch,
    }
}

pub(super) fn delete_offsets_code(error: DeleteOffsetsError) -> ErrorCode {
    match error {
        DeleteOffsetsError::InvalidGroupId => ErrorCode::InvalidGroupId,
        DeleteOffsetsError::GroupNotFound => ErrorCode::GroupIdNotFound,
        DeleteOffsetsError::NonEmptyGroup => ErrorCode::NonEmptyGroup,
    }
}

pub(super) fn delete_partition_code(error: DeletePartitionError) -> ErrorCode {
    match error {
        DeletePartitionError::GroupSubscribedToTopic => ErrorCode::GroupSubscribedToTopic,
    }
}

pub(super) fn delete_group_code(error: DeleteGroupError) -> ErrorCode {
    match error {
        DeleteGroupError::GroupNotFound => ErrorCode::GroupIdNotFound,
        DeleteGroupError::NonEmptyGroup => ErrorCode::NonEmptyGroup,
    }
}
