//! The file `quorum-state`: what a voter must not forget between two runs.

use std::collections::BTreeMap;

use ottla_types::{LeaderEpoch, NodeId, Uuid};

use crate::json::{Json, JsonError};
use crate::voters::{KRaftVersion, VoterSet};

/// For whom a voter voted in an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// The candidate.
    pub node: NodeId,
    /// The candidate's disk; `None` in a static quorum.
    pub directory: Option<Uuid>,
}

/// The election as this voter last knew it. Durable before anything is done that rests on it, so
/// that no epoch is ever voted in, or led, twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuorumState {
    /// The newest epoch that was seen.
    pub epoch: LeaderEpoch,
    /// Its leader, if known.
    pub leader: Option<NodeId>,
    /// The vote that was given in it, if any.
    pub voted: Option<Vote>,
}

/// Why a text is not a quorum-state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuorumStateError {
    /// It is not JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// It comes from a version that does not exist yet.
    #[error("data_version {0} is not one of 0 and 1")]
    UnknownVersion(i64),
    /// A field is missing, or has a value that it cannot have.
    #[error("field `{0}` is missing or makes no sense")]
    Field(&'static str),
}

impl QuorumState {
    /// Before the first election.
    pub const NEW: Self = Self { epoch: LeaderEpoch::ZERO, leader: None, voted: None };

    /// The file's content, as Kafka spells it. Version 0 also names the static voters.
    #[must_use]
    pub fn to_text(&self, version: KRaftVersion, voters: &VoterSet) -> String {
        let leader = NodeId::to_wire(self.leader);
        let voted = NodeId::to_wire(self.voted.map(|vote| vote.node));
        let epoch = self.epoch;
        let election = format!(r#""leaderId":{leader},"leaderEpoch":{epoch},"votedId":{voted}"#);
        match version {
            KRaftVersion::Static => {
                let voters: Vec<_> =
                    voters.keys().map(|id| format!(r#"{{"voterId":{id}}}"#)).collect();
                let voters = voters.join(",");
                format!(
                    r#"{{"clusterId":"",{election},"appliedOffset":0,"currentVoters":[{voters}],"data_version":0}}"#
                )
            }
            KRaftVersion::Reconfigurable => {
                let directory = self.voted.and_then(|vote| vote.directory).unwrap_or(Uuid::ZERO);
                format!(r#"{{{election},"votedDirectoryId":"{directory}","data_version":1}}"#)
            }
        }
    }

    /// Reads the file's content, in either version.
    ///
    /// # Errors
    /// When the text is not a quorum-state: the node must not start, because it could vote twice.
    pub fn parse(text: &str) -> Result<Self, QuorumStateError> {
        let Json::Object(fields) = Json::parse(text)? else {
            return Err(QuorumStateError::Field("data_version"));
        };
        let version = number(&fields, "data_version")?;
        if !(0..=1).contains(&version) {
            return Err(QuorumStateError::UnknownVersion(version));
        }
        let epoch = LeaderEpoch::from_wire(int32(&fields, "leaderEpoch")?)
            .ok_or(QuorumStateError::Field("leaderEpoch"))?;
        let leader = NodeId::from_wire(int32(&fields, "leaderId")?);
        let voted = NodeId::from_wire(int32(&fields, "votedId")?);
        let directory = if version == 1 { directory(&fields)? } else { None };
        let voted = voted.map(|node| Vote { node, directory });
        Ok(Self { epoch, leader, voted })
    }
}

type Fields = BTreeMap<String, Json>;

fn number(fields: &Fields, name: &'static str) -> Result<i64, QuorumStateError> {
    match fields.get(name) {
        Some(Json::Number(number)) => Ok(*number),
        Some(Json::Null | Json::Text(_) | Json::List(_) | Json::Object(_)) | None => {
            Err(QuorumStateError::Field(name))
        }
    }
}

fn int32(fields: &Fields, name: &'static str) -> Result<i32, QuorumStateError> {
    i32::try_from(number(fields, name)?).map_err(|_| QuorumStateError::Field(name))
}

/// Kafka writes the zero uuid where nobody was voted for.
fn directory(fields: &Fields) -> Result<Option<Uuid>, QuorumStateError> {
    const NAME: &str = "votedDirectoryId";
    let Some(Json::Text(text)) = fields.get(NAME) else {
        return Err(QuorumStateError::Field(NAME));
    };
    let uuid = text.parse().map_err(|_| QuorumStateError::Field(NAME))?;
    Ok((uuid != Uuid::ZERO).then_some(uuid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voters::Voter;

    fn state(epoch: i32, leader: Option<i32>, voted: Option<Vote>) -> QuorumState {
        QuorumState { epoch: LeaderEpoch::new(epoch), leader: leader.map(NodeId::new), voted }
    }

    fn vote(node: i32, directory: Option<u128>) -> Option<Vote> {
        Some(Vote { node: NodeId::new(node), directory: directory.map(Uuid::from_u128) })
    }

    /// The first text of each version was written by Apache Kafka 4.3.1.
    #[test]
    #[rustfmt::skip]
    fn quorum_state_is_spelled_as_kafka_spells_it() {
        use KRaftVersion::{Reconfigurable, Static};
        check(state(1, Some(1), None), Reconfigurable,
            r#"{"leaderId":1,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#);
        check(state(2, None, vote(3, Some(255))), Reconfigurable,
            r#"{"leaderId":-1,"leaderEpoch":2,"votedId":3,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAA_w","data_version":1}"#);
        check(state(2, Some(1), None), Static,
            r#"{"clusterId":"","leaderId":1,"leaderEpoch":2,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#);
        check(state(2, None, vote(1, None)), Static,
            r#"{"clusterId":"","leaderId":-1,"leaderEpoch":2,"votedId":1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#);
    }

    fn check(state: QuorumState, version: KRaftVersion, text: &str) {
        let voter = Voter { directory: None, endpoints: Vec::new() };
        let voters = VoterSet::from([(NodeId::new(1), voter)]);
        assert_eq!(state.to_text(version, &voters), text);
        assert_eq!(QuorumState::parse(text), Ok(state));
    }

    #[test]
    #[rustfmt::skip]
    fn a_text_that_could_hide_a_vote_is_refused() {
        use QuorumStateError::{Field, Json, UnknownVersion};
        refuse("", Json(JsonError { at: 0 }));
        refuse("7", Field("data_version"));
        refuse(r#"{"leaderId":1}"#, Field("data_version"));
        refuse(r#"{"data_version":2}"#, UnknownVersion(2));
        refuse(r#"{"leaderEpoch":-1,"data_version":0}"#, Field("leaderEpoch"));
        refuse(r#"{"leaderEpoch":1,"data_version":0}"#, Field("leaderId"));
        refuse(r#"{"leaderEpoch":1,"leaderId":1,"data_version":0}"#, Field("votedId"));
        refuse(r#"{"leaderEpoch":1,"leaderId":1,"votedId":4294967296,"data_version":0}"#, Field("votedId"));
        refuse(r#"{"leaderEpoch":1,"leaderId":1,"votedId":1,"data_version":1}"#, Field("votedDirectoryId"));
        refuse(r#"{"leaderEpoch":1,"leaderId":1,"votedId":1,"votedDirectoryId":"x","data_version":1}"#, Field("votedDirectoryId"));
    }

    fn refuse(text: &str, error: QuorumStateError) {
        assert_eq!(QuorumState::parse(text), Err(error), "{text}");
    }
}
