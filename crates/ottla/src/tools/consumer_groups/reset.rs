//! `kafka-consumer-groups --reset-offsets`.

use std::collections::{BTreeMap, BTreeSet};

use ottla_client::{Admin, CommittedOffset, OffsetSpec};
use ottla_types::{Offset, PartitionId, Timestamp, TopicName, TopicPartition};
use ottla_wire::ErrorCode;

use super::super::columns::{row, widest};
use super::super::flags::Given;
use super::super::settings::read_file;
use super::super::thrown::Thrown;
use super::super::{ToolError, line, log_at};
use crate::reach::Session;
use crate::words;

type Offsets = BTreeMap<TopicPartition, Offset>;

/// Where each group is to go on.
type Plan = BTreeMap<String, Offsets>;

pub(super) async fn reset(
    given: &Given,
    session: &Session,
    admin: &Admin,
) -> Result<(), ToolError> {
    let groups = super::chosen(given, admin).await?;
    let file = match given.word("from-file")? {
        Some(path) => Some(of_file(&read_file(path)?, &groups)?),
        None => None,
    };
    let mut plan = Plan::new();
    for group in groups {
        let offsets = match admin.describe_group(&group).await {
            Ok(described) if !matches!(described.state.as_str(), "Empty" | "Dead") => {
                super::error(&format!(
                    "Assignments can only be reset if the group '{group}' is inactive, but the \
                     current state is {}.",
                    described.state
                ))?;
                Offsets::new()
            }
            Err(error) if error.code() != Some(ErrorCode::GroupIdNotFound) => {
                return Err(error.into());
            }
            Ok(_) | Err(_) => {
                let offsets = moved(given, (session, admin), &group, file.as_ref()).await?;
                if given.has("execute") {
                    commit(admin, &group, &offsets).await?;
                }
                offsets
            }
        };
        plan.insert(group, offsets);
    }
    if given.has("export") {
        return Ok(line(&exported(&plan, given.words("group").len() == 1))?);
    }
    Ok(line(&table(&plan))?)
}

async fn commit(admin: &Admin, group: &str, offsets: &Offsets) -> Result<(), ToolError> {
    if offsets.is_empty() {
        return Ok(());
    }
    let offsets: BTreeMap<TopicPartition, CommittedOffset> =
        offsets.iter().map(|(of, at)| (of.clone(), (*at).into())).collect();
    Ok(admin.alter_group_offsets(group, &offsets).await?)
}

/// Topic and partitions of `topic:0,1`.
pub(super) fn partitions_in(word: &str) -> Result<Vec<TopicPartition>, ToolError> {
    let (topic, numbers) = word
        .split_once(':')
        .filter(|(_, numbers)| !numbers.is_empty() && !numbers.contains(':'))
        .ok_or_else(|| {
            let told = format!("Invalid topic arg '{word}', expected topic name and partitions");
            Thrown::illegal_argument(told)
        })?;
    let topic = TopicName::parse(topic)?;
    let of = |number: &str| {
        let id = number.parse().ok().and_then(PartitionId::from_wire).ok_or_else(|| {
            let told = format!("Invalid partition '{number}' specified in topic arg '{word}''");
            Thrown::illegal_argument(told)
        })?;
        Ok(TopicPartition { topic: topic.clone(), partition: id })
    };
    numbers.split(',').map(of).collect()
}

/// The partitions that are meant, all of them there.
async fn scope(
    given: &Given,
    admin: &Admin,
    group: &str,
) -> Result<Vec<TopicPartition>, ToolError> {
    let mut scope: BTreeSet<TopicPartition> = BTreeSet::new();
    if given.has("all-topics") {
        scope.extend(admin.group_offsets(group).await?.into_keys());
    } else if given.has("topic") {
        for word in given.words("topic") {
            if word.contains(':') {
                scope.extend(partitions_in(word)?);
                continue;
            }
            let name = TopicName::parse(word)?;
            let topic = admin.describe_topic(&name).await?;
            let of = |id| TopicPartition { topic: name.clone(), partition: id };
            scope.extend(topic.partitions.iter().map(|each| of(each.id)));
        }
    } else if !given.has("from-file") {
        let told = "One of the reset scopes should be defined: --all-topics, --topic.";
        return Err(ToolError::usage(told));
    }
    all_there(admin, scope.into_iter().collect()).await
}

async fn all_there(
    admin: &Admin,
    scope: Vec<TopicPartition>,
) -> Result<Vec<TopicPartition>, ToolError> {
    let topics = admin.list_topics().await?;
    let found = |of: &TopicPartition| topics.get(&of.topic)?.partition(of.partition);
    let listed = |all: Vec<&TopicPartition>| {
        all.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    };
    let missing: Vec<&TopicPartition> = scope.iter().filter(|of| found(of).is_none()).collect();
    if !missing.is_empty() {
        let told = format!("The partitions \"{}\" do not exist", listed(missing));
        return Err(Thrown::of_code(ErrorCode::UnknownTopicOrPartition, Some(&told)).into());
    }
    let led = |of: &&TopicPartition| found(of).is_some_and(|each| each.leader.is_some());
    let headless: Vec<&TopicPartition> = scope.iter().filter(|of| !led(of)).collect();
    if !headless.is_empty() {
        let told = format!("The partitions \"{}\" have no leader", listed(headless));
        return Err(Thrown::of_code(ErrorCode::LeaderNotAvailable, Some(&told)).into());
    }
    Ok(scope)
}

/// Where a group that nobody is in is to go on.
async fn moved(
    given: &Given,
    (session, admin): (&Session, &Admin),
    group: &str,
    file: Option<&Plan>,
) -> Result<Offsets, ToolError> {
    let scope = scope(given, admin, group).await?;
    if let Some(to) = given.number::<i64>("to-offset")? {
        let to = scope.into_iter().map(|of| (of, to)).collect();
        return within_logs(admin, to).await;
    }
    if given.has("to-earliest") {
        return found(admin, &scope, OffsetSpec::Earliest).await;
    }
    if given.has("to-latest") {
        return found(admin, &scope, OffsetSpec::Latest).await;
    }
    if let Some(by) = given.number::<i64>("shift-by")? {
        return shifted(admin, group, scope, by).await;
    }
    if let Some(time) = given.word("to-datetime")? {
        return since(admin, &scope, date_time(time)?).await;
    }
    if let Some(duration) = given.word("by-duration")? {
        let ago = duration_ms(duration).ok_or_else(|| {
            let told = "Text cannot be parsed to a Duration";
            Thrown::new("java.time.format.DateTimeParseException", told)
        })?;
        let now = session.env.clock.wall();
        let time = Timestamp::from_millis(now.millis().saturating_sub(ago));
        return since(admin, &scope, time).await;
    }
    if let Some(file) = file {
        let Some(offsets) = file.get(group) else {
            super::error(&format!("No reset plan for group {group} found"))?;
            return Ok(Offsets::new());
        };
        let wanted = offsets.iter().map(|(of, at)| (of.clone(), at.get())).collect();
        return within_logs(admin, wanted).await;
    }
    if given.has("to-current") {
        return current(admin, group, scope).await;
    }
    Err(ToolError::usage(
        "Option '[reset-offsets]' requires one of the following scenarios: [[to-offset], \
         [shift-by], [to-datetime], [by-duration], [to-earliest], [to-latest], [to-current], \
         [from-file]]",
    ))
}

async fn found(
    admin: &Admin,
    scope: &[TopicPartition],
    spec: OffsetSpec,
) -> Result<Offsets, ToolError> {
    let found = admin.list_offsets(scope, spec).await?;
    Ok(found.into_iter().map(|(of, at)| (of, at.offset)).collect())
}

/// The first records since then; the ends, where there are none.
async fn since(
    admin: &Admin,
    scope: &[TopicPartition],
    time: Timestamp,
) -> Result<Offsets, ToolError> {
    let mut offsets = found(admin, scope, OffsetSpec::AtOrAfter(time)).await?;
    let later: Vec<TopicPartition> =
        scope.iter().filter(|of| !offsets.contains_key(of)).cloned().collect();
    for of in &later {
        line(&format!(
            "\nWarn: Partition {} from topic {} is empty. Falling back to latest known offset.",
            of.partition, of.topic
        ))?;
    }
    offsets.extend(found(admin, &later, OffsetSpec::Latest).await?);
    Ok(offsets)
}

async fn shifted(
    admin: &Admin,
    group: &str,
    scope: Vec<TopicPartition>,
    by: i64,
) -> Result<Offsets, ToolError> {
    let committed = admin.group_offsets(group).await?;
    let mut wanted = BTreeMap::new();
    for of in scope {
        let at = committed.get(&of).ok_or_else(|| {
            Thrown::illegal_argument(format!(
                "Cannot shift offset for partition {of} since there is no current committed \
                 offset"
            ))
        })?;
        wanted.insert(of, at.offset.get().saturating_add(by));
    }
    within_logs(admin, wanted).await
}

/// Where the group is; the ends, where it has not begun.
async fn current(
    admin: &Admin,
    group: &str,
    scope: Vec<TopicPartition>,
) -> Result<Offsets, ToolError> {
    let committed = admin.group_offsets(group).await?;
    let (begun, new): (Vec<_>, Vec<_>) =
        scope.into_iter().partition(|of| committed.contains_key(of));
    let mut offsets = found(admin, &new, OffsetSpec::Latest).await?;
    offsets.extend(begun.into_iter().map(|of| {
        let at = committed[&of].offset;
        (of, at)
    }));
    Ok(offsets)
}

/// No offset before the first record, nor behind the end.
async fn within_logs(
    admin: &Admin,
    wanted: BTreeMap<TopicPartition, i64>,
) -> Result<Offsets, ToolError> {
    let all: Vec<TopicPartition> = wanted.keys().cloned().collect();
    let starts = admin.list_offsets(&all, OffsetSpec::Earliest).await?;
    let ends = admin.list_offsets(&all, OffsetSpec::Latest).await?;
    let mut offsets = Offsets::new();
    for (of, at) in wanted {
        let (Some(start), Some(end)) = (starts.get(&of), ends.get(&of)) else {
            let told = format!("Unexpected non-existing offset value for topic partition {of}");
            return Err(Thrown::new("java.lang.IllegalStateException", told).into());
        };
        let (start, end) = (start.offset, end.offset);
        let told = |how: &str, edge: &str, to: Offset| {
            let told = format!(
                "New offset ({at}) is {how} than {edge} offset for topic partition {of}. Value \
                 will be set to {to}"
            );
            log_at("WARN", &told, "org.apache.kafka.tools.OffsetsUtils");
        };
        let to = if at > end.get() {
            told("higher", "latest", end);
            end
        } else if at < start.get() {
            told("lower", "earliest", start);
            start
        } else {
            Offset::new(at)
        };
        offsets.insert(of, to);
    }
    Ok(offsets)
}

/// A time as `YYYY-MM-DDTHH:mm:SS.sss`, with a zone behind it or in UTC.
fn date_time(text: &str) -> Result<Timestamp, ToolError> {
    let wrong = |told: &str| {
        let thrown = Thrown::new("java.text.ParseException", told);
        Thrown::new("java.lang.RuntimeException", thrown.to_string())
    };
    let Some((date, time)) = text.split_once('T') else {
        let told = "Error parsing timestamp. It does not contain a 'T' according to ISO8601 format";
        return Err(wrong(told).into());
    };
    let unparseable = || wrong(&format!("Unparseable date: \"{text}\""));
    let (time, zone) = match time.find(['+', '-', 'Z']) {
        Some(at) => time.split_at(at),
        None => (time, ""),
    };
    let at = words::parse_time(&format!("{date}T{time}")).ok_or_else(unparseable)?;
    let east = zone_ms(zone).ok_or_else(unparseable)?;
    Ok(Timestamp::from_millis(at.millis() - east))
}

/// How far a zone is east of UTC: `Z`, `+01`, `+0130` or `-01:30`.
fn zone_ms(zone: &str) -> Option<i64> {
    let (sign, rest) = match zone.split_at_checked(1) {
        None | Some(("Z", "")) => return Some(0),
        Some(("+", rest)) => (1, rest.replace(':', "")),
        Some(("-", rest)) => (-1, rest.replace(':', "")),
        Some(_) => return None,
    };
    if !rest.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = match rest.len() {
        2 => (rest.as_str(), "0"),
        4 => rest.split_at(2),
        _ => return None,
    };
    let minutes = hours.parse::<i64>().ok()? * 60 + minutes.parse::<i64>().ok()?;
    Some(sign * minutes * 60_000)
}

/// A duration as ISO 8601 has it: `P1DT2H3M4.5S`, each part with a sign of its own.
fn duration_ms(text: &str) -> Option<i64> {
    let (sign, text) = text.strip_prefix('-').map_or((1.0, text), |rest| (-1.0, rest));
    let text = text.to_ascii_uppercase();
    let rest = text.strip_prefix('P')?;
    let (days, time) = rest.split_once('T').map_or((rest, ""), |(days, time)| (days, time));
    if rest.is_empty() || rest.ends_with('T') {
        return None;
    }
    let mut ms = 0.0;
    for (part, units) in
        [(days, &[('D', 86_400e3)][..]), (time, &[('H', 3_600e3), ('M', 60e3), ('S', 1e3)])]
    {
        let mut part = part;
        for (unit, worth) in units {
            if let Some((number, behind)) = part.split_once(*unit) {
                ms += number.parse::<f64>().ok().filter(|number| number.is_finite())? * worth;
                part = behind;
            }
        }
        if !part.is_empty() {
            return None;
        }
    }
    // A float beyond an i64 becomes its end, which is as far as time goes.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "what is below a millisecond does not count"
    )]
    Some((sign * ms) as i64)
}

/// The plan of a file: lines of topic, partition and offset for one group, or with the group in
/// front for several.
fn of_file(text: &str, groups: &[String]) -> Result<Plan, ToolError> {
    let lines: Vec<Vec<String>> =
        text.lines().filter(|line| !line.trim().is_empty()).map(fields).collect();
    let has_group = lines.first().is_some_and(|first| first.len() == 4);
    let mut plan = Plan::new();
    for fields in lines {
        let (group, rest) = match (has_group, groups) {
            (true, _) => (fields.first().cloned(), fields.get(1..)),
            (false, [one]) => (Some(one.clone()), fields.get(..)),
            (false, _) => (None, None),
        };
        let read = || {
            let [topic, number, offset] = rest? else { return None };
            let partition = PartitionId::from_wire(number.parse().ok()?)?;
            let of = TopicPartition { topic: TopicName::parse(topic).ok()?, partition };
            Some((of, Offset::from_wire(offset.parse().ok()?)?))
        };
        let (Some(group), Some((of, at))) = (group, read()) else {
            let told = format!("not a plan for these groups: {}", fields.join(","));
            return Err(ToolError::thrown("java.lang.RuntimeException", told));
        };
        plan.entry(group).or_default().insert(of, at);
    }
    Ok(plan)
}

/// The fields of a line of comma-separated values; quotes hold a field together.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.trim_end_matches('\r').chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field).trim().to_owned()),
            c => field.push(c),
        }
    }
    fields.push(field.trim().to_owned());
    fields
}

fn exported(plan: &Plan, is_single: bool) -> String {
    let mut text = String::new();
    for (group, offsets) in plan {
        for (of, at) in offsets {
            let group = if is_single { String::new() } else { format!("{group},") };
            text.push_str(&format!("{group}{},{},{at}\n", of.topic, of.partition));
        }
    }
    text
}

fn table(plan: &Plan) -> String {
    if plan.is_empty() {
        return String::new();
    }
    let topics = plan.values().flat_map(BTreeMap::keys).map(|of| of.topic.as_str());
    let widths = [widest(15, plan.keys().map(String::as_str)), widest(15, topics), 10, 0];
    let mut text = format!("\n{}", row(&widths, &["GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"]));
    for (group, offsets) in plan {
        for (of, at) in offsets {
            let (partition, at) = (of.partition.to_string(), at.to_string());
            let cells = [group.as_str(), of.topic.as_str(), &partition, &at];
            text.push_str(&format!("\n{}", row(&widths, &cells)));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_zones() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(date_time(text).ok().map(Timestamp::millis), expected, "{text}");
        };
        check("1970-01-01T00:00:01.000", Some(1_000));
        check("1970-01-01T00:00:01.000Z", Some(1_000));
        check("1970-01-01T01:00:01.000+01:00", Some(1_000));
        check("1970-01-01T00:30:00.000-0130", Some(7_200_000));
        check("1970-01-01T01:00:00.000+01", Some(0));
        check("yesterday", None);
        check("1970-01-01Tnoon", None);
    }

    #[test]
    fn durations_are_those_of_iso_8601() {
        let check = |text: &str, expected: Option<i64>| {
            assert_eq!(duration_ms(text), expected, "{text}");
        };
        check("P1D", Some(86_400_000));
        check("PT1H30M", Some(5_400_000));
        check("P1DT0.5S", Some(86_400_500));
        check("PT0S", Some(0));
        check("-PT1S", Some(-1_000));
        check("PT-1S", Some(-1_000));
        for text in ["", "P", "PT", "1D", "P1H", "PT1D", "PTxS"] {
            check(text, None);
        }
    }

    #[test]
    fn files_are_plans_for_one_group_or_for_several() {
        let groups =
            |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let plan = of_file("\"one\",0,4\none,1,5\n", &groups(&["g"])).unwrap();
        assert_eq!(exported(&plan, true), "one,0,4\none,1,5\n");
        let plan = of_file("\"a\",\"one\",0,2\n\"b\",\"one\",0,3\n", &groups(&["a", "b"])).unwrap();
        assert_eq!(exported(&plan, false), "a,one,0,2\nb,one,0,3\n");
        assert!(of_file("one,0,4\n", &groups(&["a", "b"])).is_err());
        assert!(of_file("one,0\n", &groups(&["a"])).is_err());
    }

    #[test]
    fn partitions_are_named_behind_a_colon() {
        let told = |word: &str| match partitions_in(word) {
            Ok(all) => all.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(ToolError::Thrown(thrown)) => thrown.message,
            Err(other) => format!("{other:?}"),
        };
        assert_eq!(told("plain:1,2"), "plain-1 plain-2");
        assert_eq!(
            told("plain:"),
            "Invalid topic arg 'plain:', expected topic name and partitions"
        );
        assert_eq!(told("plain:x"), "Invalid partition 'x' specified in topic arg 'plain:x''");
    }
}
