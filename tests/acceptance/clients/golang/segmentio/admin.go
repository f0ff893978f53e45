package main

import (
	"context"
	"errors"
	"time"

	"github.com/segmentio/kafka-go"

	"ottla/acceptance/golang/program"
)

// The calls of kafka-go's client that one node has an answer to.
type calls struct {
	client *kafka.Client
	given  program.Options
	topic  string
	group  string
}

func admin(_ context.Context, given program.Options) error {
	// Its transport answers questions about topics out of what it knows, which is six seconds old unless asked for less:
	// longer than these steps wait.
	transport := &kafka.Transport{MetadataTTL: time.Second}
	client := &kafka.Client{Addr: kafka.TCP(given["bootstrap"]), Timeout: 30 * time.Second, Transport: transport}
	c := calls{client, given, given["prefix"] + "-topic", given["prefix"] + "-group"}
	return program.Steps(c.topics, c.configs, c.records, c.groups, c.deleteTopic)
}

var background = context.Background()

func (c calls) partitions() int {
	answer, err := c.client.Metadata(background, &kafka.MetadataRequest{Topics: []string{c.topic}})
	if err != nil || answer.Topics[0].Error != nil {
		return -1
	}
	return len(answer.Topics[0].Partitions)
}

func (c calls) create() error {
	wanted := kafka.TopicConfig{Topic: c.topic, NumPartitions: 3, ReplicationFactor: 1,
		ConfigEntries: []kafka.ConfigEntry{{ConfigName: "retention.ms", ConfigValue: "86400000"}}}
	answer, err := c.client.CreateTopics(background, &kafka.CreateTopicsRequest{Topics: []kafka.TopicConfig{wanted}})
	if err != nil {
		return err
	}
	return answer.Errors[c.topic]
}

func (c calls) topics() error {
	return program.Steps(c.create,
		func() error {
			return program.Until("create and list topics", func() bool { return c.partitions() == 3 })
		},
		func() error {
			err := c.create()
			return program.Expect("create a topic twice", errors.Is(err, kafka.TopicAlreadyExists), err)
		},
		func() error {
			answer, err := c.client.CreatePartitions(background, &kafka.CreatePartitionsRequest{
				Topics: []kafka.TopicPartitionsConfig{{Name: c.topic, Count: 5}}})
			if err != nil {
				return err
			}
			return answer.Errors[c.topic]
		},
		func() error { return program.Until("create partitions", func() bool { return c.partitions() == 5 }) })
}

func (c calls) value(name string) string {
	answer, err := c.client.DescribeConfigs(background, &kafka.DescribeConfigsRequest{
		Resources: []kafka.DescribeConfigRequestResource{
			{ResourceType: kafka.ResourceTypeTopic, ResourceName: c.topic, ConfigNames: []string{name}}}})
	if err != nil || len(answer.Resources[0].ConfigEntries) != 1 {
		return ""
	}
	return answer.Resources[0].ConfigEntries[0].ConfigValue
}

func (c calls) configs() error {
	if err := program.Expect("describe configs", c.value("retention.ms") == "86400000", nil); err != nil {
		return err
	}
	answer, err := c.client.IncrementalAlterConfigs(background, &kafka.IncrementalAlterConfigsRequest{
		Resources: []kafka.IncrementalAlterConfigsRequestResource{
			{ResourceType: kafka.ResourceTypeTopic, ResourceName: c.topic,
				Configs: []kafka.IncrementalAlterConfigsRequestConfig{
					{Name: "segment.ms", Value: "3600000", ConfigOperation: kafka.ConfigOperationSet}}}}})
	if err != nil || answer.Resources[0].Error != nil {
		return errors.Join(err, answer.Resources[0].Error)
	}
	return program.Until("alter configs", func() bool { return c.value("segment.ms") == "3600000" })
}

func (c calls) records() error {
	first := time.Now().Add(-10 * time.Minute).Truncate(time.Millisecond)
	var records []kafka.Record
	for i := 0; i < 100; i++ {
		records = append(records, kafka.Record{Time: first.Add(time.Duration(i) * time.Millisecond),
			Value: kafka.NewBytes([]byte("x"))})
	}
	answer, err := c.client.Produce(background, &kafka.ProduceRequest{Topic: c.topic, Partition: 0,
		RequiredAcks: kafka.RequireAll, Records: kafka.NewRecordReader(records...)})
	if err != nil || answer.Error != nil {
		return errors.Join(err, answer.Error)
	}
	listed, err := c.client.ListOffsets(background, &kafka.ListOffsetsRequest{Topics: map[string][]kafka.OffsetRequest{
		c.topic: {kafka.FirstOffsetOf(0), kafka.LastOffsetOf(0),
			kafka.TimeOffsetOf(0, first.Add(40*time.Millisecond))}}})
	if err != nil {
		return err
	}
	found := listed.Topics[c.topic][0]
	_, timed := found.Offsets[40]
	return program.Expect("list offsets", found.FirstOffset == 0 && found.LastOffset == 100 && timed, found)
}

func (c calls) groups() error {
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{ID: c.group, Brokers: []string{c.given["bootstrap"]},
		Topics: []string{c.topic}})
	if err != nil {
		return err
	}
	generation, err := group.Next(background)
	if err != nil {
		return err
	}
	return program.Steps(
		func() error { return generation.CommitOffsets(map[string]map[int]int64{c.topic: {0: 42}}) },
		c.describe, c.list,
		func() error {
			err := c.delete()
			return program.Expect("delete a group with members", errors.Is(err, kafka.NonEmptyGroup), err)
		},
		group.Close, c.committed, c.delete)
}

func (c calls) describe() error {
	answer, err := c.client.DescribeGroups(background, &kafka.DescribeGroupsRequest{GroupIDs: []string{c.group}})
	if err != nil {
		return err
	}
	found := answer.Groups[0]
	return program.Expect("describe a group", found.GroupState == "Stable" && len(found.Members) == 1, found)
}

func (c calls) list() error {
	answer, err := c.client.ListGroups(background, &kafka.ListGroupsRequest{})
	if err != nil {
		return err
	}
	there := false
	for _, one := range answer.Groups {
		there = there || one.GroupID == c.group
	}
	return program.Expect("list groups", there, answer.Groups)
}

func (c calls) committed() error {
	answer, err := c.client.OffsetFetch(background, &kafka.OffsetFetchRequest{GroupID: c.group,
		Topics: map[string][]int{c.topic: {0}}})
	if err != nil {
		return err
	}
	offset := answer.Topics[c.topic][0].CommittedOffset
	return program.Expect("offsets outlive the member", offset == 42, offset)
}

func (c calls) delete() error {
	answer, err := c.client.DeleteGroups(background, &kafka.DeleteGroupsRequest{GroupIDs: []string{c.group}})
	if err != nil {
		return err
	}
	return answer.Errors[c.group]
}

func (c calls) deleteTopic() error {
	answer, err := c.client.DeleteTopics(background, &kafka.DeleteTopicsRequest{Topics: []string{c.topic}})
	if err != nil {
		return err
	}
	if err := answer.Errors[c.topic]; err != nil {
		return err
	}
	return program.Until("delete topics", func() bool { return c.partitions() < 0 })
}
