//! DescribeUserScramCredentials. There are none yet: a metadata log that has some is not followed.

use std::collections::BTreeMap;

use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    DescribeUserScramCredentialsRequest, DescribeUserScramCredentialsResponse,
    describe_user_scram_credentials_response as response,
};

use super::{Answer, Call, Refused, encode};

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let request = DescribeUserScramCredentialsRequest::decode(&mut call.body, call.version)?;
    let mut times_named: BTreeMap<String, usize> = BTreeMap::new();
    // Who asks for nobody asks for all.
    for user in request.users.iter().flatten() {
        *times_named.entry(user.name.into_owned()).or_default() += 1;
    }
    let answer = DescribeUserScramCredentialsResponse {
        // Empty and not null, as Kafka sends it.
        error_message: Some("".into()),
        results: times_named.iter().map(|(user, times)| refused(user, *times)).collect(),
        ..Default::default()
    };
    Ok(Answer::Now(encode(|writer| answer.encode(writer, call.version))?))
}

/// The words are Kafka's.
fn refused(user: &str, times_named: usize) -> response::DescribeUserScramCredentialsResult<'_> {
    let (error, message) = if times_named > 1 {
        let said = "Cannot describe SCRAM credentials for the same user twice in a single request";
        (ErrorCode::DuplicateResource, format!("{said}: {user}"))
    } else {
        let said = "Attempt to describe a user credential that does not exist";
        (ErrorCode::ResourceNotFound, format!("{said}: {user}"))
    };
    response::DescribeUserScramCredentialsResult {
        user: user.into(),
        error_code: error.code(),
        error_message: Some(message.into()),
        ..Default::default()
    }
}
