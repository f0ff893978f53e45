//! DescribeAcls. There is no authorizer yet, so there is nothing to describe: everybody may do
//! everything.

use ottla_wire::ErrorCode;
use ottla_wire::messages::{DescribeAclsRequest, DescribeAclsResponse};

use super::{Answer, Call, Refused, encode};

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let request = DescribeAclsRequest::decode(&mut call.body, call.version)?;
    if !is_known(&request) {
        return Err(Refused::UnknownAclFilter);
    }
    let response = DescribeAclsResponse {
        error_code: ErrorCode::SecurityDisabled.code(),
        // Kafka's words.
        error_message: Some("No Authorizer is configured on the broker".into()),
        ..Default::default()
    };
    Ok(Answer::Now(encode(|writer| response.encode(writer, call.version))?))
}

/// Whether Kafka has a name for each number; 0 is its own for one that it does not know, and such a
/// request ends the connection there, too.
fn is_known(request: &DescribeAclsRequest<'_>) -> bool {
    (1..=7).contains(&request.resource_type_filter)
        && (1..=4).contains(&request.pattern_type_filter)
        && (1..=15).contains(&request.operation)
        && (1..=3).contains(&request.permission_type)
}
