//! DescribeClientQuotas. There are none yet: a metadata log that has some is not followed. So a
//! filter is judged as Kafka judges it, and matches nothing.

use std::collections::BTreeSet;

use ottla_wire::ErrorCode;
use ottla_wire::messages::describe_client_quotas_request::ComponentData;
use ottla_wire::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};

use super::{Answer, Call, Refused, encode};

/// What is wrong with a filter. The words are Kafka's, measured on 4.3.1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum FilterError {
    #[error("Invalid empty entity type.")]
    EmptyType,
    #[error("Entity type {0} cannot appear more than once in the filter.")]
    TypeTwice(String),
    #[error("Unsupported entity type {0}")]
    UnknownType(String),
    #[error("Request specified MATCH_TYPE_EXACT, but set match string to null.")]
    ExactNothing,
    #[error("Request specified {0}, but also specified a match string.")]
    NeedlessMatch(&'static str),
    #[error("Unknown match type {0}")]
    UnknownMatch(i8),
    #[error(
        "Invalid entity filter component combination. IP filter component should not be used with \
         user or clientId filter component."
    )]
    IpAndOthers,
}

impl FilterError {
    const fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownType(_) => ErrorCode::UnsupportedVersion,
            Self::EmptyType
            | Self::TypeTwice(_)
            | Self::ExactNothing
            | Self::NeedlessMatch(_)
            | Self::UnknownMatch(_)
            | Self::IpAndOthers => ErrorCode::InvalidRequest,
        }
    }
}

pub(super) fn handle(mut call: Call<'_>) -> Result<Answer, Refused> {
    let request = DescribeClientQuotasRequest::decode(&mut call.body, call.version)?;
    let response = match check_filter(request.components.iter()) {
        Ok(()) => DescribeClientQuotasResponse {
            // Empty and not null, as Kafka sends it.
            error_message: Some("".into()),
            entries: Some(Vec::new().into()),
            ..Default::default()
        },
        Err(error) => DescribeClientQuotasResponse {
            error_code: error.code().code(),
            error_message: Some(error.to_string().into()),
            entries: None,
            ..Default::default()
        },
    };
    Ok(Answer::Now(encode(|writer| response.encode(writer, call.version))?))
}

fn check_filter<'a>(
    components: impl Iterator<Item = ComponentData<'a>>,
) -> Result<(), FilterError> {
    let mut types = BTreeSet::new();
    for component in components {
        let kind = component.entity_type.as_ref();
        if kind.is_empty() {
            return Err(FilterError::EmptyType);
        }
        if types.contains(kind) {
            return Err(FilterError::TypeTwice(kind.to_owned()));
        }
        if !matches!(kind, "user" | "client-id" | "ip") {
            return Err(FilterError::UnknownType(kind.to_owned()));
        }
        check_match(component.match_type, component.r#match.is_some())?;
        types.insert(kind.to_owned());
    }
    if types.contains("ip") && types.len() > 1 {
        return Err(FilterError::IpAndOthers);
    }
    Ok(())
}

/// 0 is a name, 1 the default entity, 2 any entity.
const fn check_match(match_type: i8, has_match: bool) -> Result<(), FilterError> {
    match (match_type, has_match) {
        (0, true) | (1 | 2, false) => Ok(()),
        (0, false) => Err(FilterError::ExactNothing),
        (1, true) => Err(FilterError::NeedlessMatch("MATCH_TYPE_DEFAULT")),
        (2, true) => Err(FilterError::NeedlessMatch("MATCH_TYPE_SPECIFIED")),
        (other, _) => Err(FilterError::UnknownMatch(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[rustfmt::skip]
    fn a_filter_names_each_type_once_and_addresses_alone() {
        check(&[], &Ok(()));
        check(&[("user", 0, Some("a")), ("client-id", 1, None)], &Ok(()));
        check(&[("ip", 2, None)], &Ok(()));
        check(&[("", 2, None)], &Err(FilterError::EmptyType));
        check(&[("user", 2, None), ("user", 1, None)], &Err(FilterError::TypeTwice("user".into())));
        check(&[("group", 2, None)], &Err(FilterError::UnknownType("group".into())));
        check(&[("user", 0, None)], &Err(FilterError::ExactNothing));
        check(&[("user", 1, Some("a"))], &Err(FilterError::NeedlessMatch("MATCH_TYPE_DEFAULT")));
        check(&[("user", 2, Some("a"))], &Err(FilterError::NeedlessMatch("MATCH_TYPE_SPECIFIED")));
        check(&[("user", 3, None)], &Err(FilterError::UnknownMatch(3)));
        check(&[("client-id", 2, None), ("ip", 1, None)], &Err(FilterError::IpAndOthers));
    }

    fn check(components: &[(&str, i8, Option<&str>)], expected: &Result<(), FilterError>) {
        let component = |(kind, match_type, text): &(&str, i8, Option<&str>)| ComponentData {
            entity_type: (*kind).to_owned().into(),
            match_type: *match_type,
            r#match: text.map(|text| text.to_owned().into()),
            ..Default::default()
        };
        assert_eq!(&check_filter(components.iter().map(component)), expected, "{components:?}");
    }
}
