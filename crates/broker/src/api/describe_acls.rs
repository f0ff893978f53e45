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

/// 0 is Kafka's own number for what it does not know, and a request that has it ends the connection
/// there, too. Numbers that have no name yet are taken.
fn is_known(request: &DescribeAclsRequest<'_>) -> bool {
    let numbers = [
        request.resource_type_filter,
        request.pattern_type_filter,
        request.operation,
        request.permission_type,
    ];
    !numbers.contains(&0)
}
