package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The calls of franz-go's admin client that one node has an answer to. The first that answers otherwise ends the
// program, by a panic that `admin` turns into an error.
type adminCalls struct {
	ctx              context.Context
	bootstrap, topic string
	group            string
	client           *kgo.Client
	admin            *kadm.Client
}

type wrong struct{ what string }

func admin(_ context.Context, given options) (err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(given["bootstrap"]), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.MetadataMinAge(50*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	defer func() {
		if found, is := recover().(wrong); is {
			err = errors.New(found.what)
		}
	}()
	calls := adminCalls{ctx: ctx, bootstrap: given["bootstrap"], topic: given["prefix"] + "-topic",
		group: given["prefix"] + "-group", client: client, admin: kadm.NewClient(client)}
	calls.topics()
	calls.configs()
	calls.groups()
	calls.liveGroup("classic")
	calls.liveGroup("consumer")
	calls.records()
	calls.cluster()
	_, err = calls.admin.DeleteTopic(ctx, calls.topic)
	must("delete topics", err)
	until("delete topics: gone", func() bool {
		listed, err := calls.admin.ListTopics(ctx)
		return err == nil && !listed.Has(calls.topic)
	})
	return nil
}

func expect(call string, held bool, got any) {
	if !held {
		panic(wrong{fmt.Sprintf("%s: got %+v", call, got)})
	}
	say("passed", fields{"call": call})
}

func must(call string, err error) { expect(call, err == nil, err) }

func refused(call string, wanted, got error) { expect(call, errors.Is(got, wanted), got) }

// For what a broker may do a moment after it has answered.
func until(call string, question func() bool) {
	for i := 0; i < 100 && !question(); i++ {
		time.Sleep(50 * time.Millisecond)
	}
	expect(call, question(), "nothing for five seconds")
}

func text(of string) *string { return &of }

func (c *adminCalls) topics() {
	configs := map[string]*string{"retention.ms": text("86400000")}
	_, err := c.admin.CreateTopic(c.ctx, 3, 1, configs, c.topic)
	must("create topics", err)
	until("list topics", func() bool { return c.partitions() == 3 })
	_, err = c.admin.CreateTopic(c.ctx, 3, 1, nil, c.topic)
	refused("create a topic twice", kerr.TopicAlreadyExists, err)
	answers, err := c.admin.UpdatePartitions(c.ctx, 5, c.topic)
	must("create partitions", errors.Join(err, answers[c.topic].Err))
	until("create partitions: listed", func() bool { return c.partitions() == 5 })
	answers, _ = c.admin.UpdatePartitions(c.ctx, 2, c.topic)
	refused("create fewer partitions", kerr.InvalidPartitions, answers[c.topic].Err)
}

func (c *adminCalls) partitions() int {
	listed, err := c.admin.ListTopics(c.ctx, c.topic)
	if err != nil {
		return 0
	}
	return len(listed[c.topic].Partitions)
}

func value(found kadm.ResourceConfigs, err error, name string) string {
	if err == nil && len(found) == 1 {
		for _, config := range found[0].Configs {
			if config.Key == name && config.Value != nil {
				return *config.Value
			}
		}
	}
	return ""
}

func (c *adminCalls) retention() string {
	found, err := c.admin.DescribeTopicConfigs(c.ctx, c.topic)
	return value(found, err, "retention.ms")
}

func (c *adminCalls) configs() {
	expect("describe configs", c.retention() == "86400000", c.retention())
	changes := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: text("3600000")}}
	answers, err := c.admin.AlterTopicConfigs(c.ctx, changes, c.topic)
	must("alter configs", errors.Join(err, answers[0].Err))
	until("alter configs: described", func() bool { return c.retention() == "3600000" })
	wrong := []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "retention.ms", Value: text("a while")}}
	answers, err = c.admin.ValidateAlterTopicConfigs(c.ctx, wrong, c.topic)
	refused("validate configs", kerr.InvalidConfig, errors.Join(err, answers[0].Err))
	changes = []kadm.AlterConfig{{Op: kadm.DeleteConfig, Name: "retention.ms"}}
	answers, err = c.admin.AlterTopicConfigs(c.ctx, changes, c.topic)
	must("delete a config", errors.Join(err, answers[0].Err))
	until("delete a config: described", func() bool { return c.retention() == "604800000" })
	found, err := c.admin.DescribeBrokerConfigs(c.ctx, 1)
	expect("describe a broker's configs", value(found, err, "node.id") == "1", found)
}

func (c *adminCalls) committed() int64 {
	found, err := c.admin.FetchOffsets(c.ctx, c.group)
	if offset, is := found.Lookup(c.topic, 0); err == nil && is {
		return offset.At
	}
	return -1
}

func (c *adminCalls) alter(offset int64) error {
	var offsets kadm.Offsets
	offsets.AddOffset(c.topic, 0, offset, -1)
	return c.admin.CommitAllOffsets(c.ctx, c.group, offsets)
}

func (c *adminCalls) groups() {
	must("alter offsets", c.alter(42))
	expect("list offsets", c.committed() == 42, c.committed())
	listed, err := c.admin.ListGroups(c.ctx)
	expect("list groups", err == nil && listed[c.group].State == "Empty", listed)
	listed, err = c.admin.ListGroups(c.ctx, "Stable")
	_, is := listed[c.group]
	expect("list groups of a state", err == nil && !is, listed)
	found, err := c.admin.DescribeGroups(c.ctx, c.group)
	expect("describe an empty group", err == nil && found[c.group].State == "Empty", found)
	offsets := kadm.TopicsSet{}
	offsets.Add(c.topic, 0)
	answers, err := c.admin.DeleteOffsets(c.ctx, c.group, offsets)
	must("delete offsets", errors.Join(err, answers[c.topic][0]))
	expect("delete offsets: gone", c.committed() == -1, c.committed())
	must("alter offsets again", c.alter(1))
	_, err = c.admin.DeleteGroup(c.ctx, c.group)
	must("delete groups", err)
	_, err = c.admin.DeleteGroup(c.ctx, c.group)
	refused("delete an unknown group", kerr.GroupIDNotFound, err)
}

func (c *adminCalls) liveGroup(protocol string) {
	settings := []kgo.Opt{kgo.SeedBrokers(c.bootstrap), kgo.ClientID("the-member"), kgo.ConsumerGroup(c.group),
		kgo.ConsumeTopics(c.topic), kgo.DisableAutoCommit(), kgo.Balancers(kgo.RangeBalancer())}
	if protocol == "consumer" {
		settings = append(settings, kgo.ServerSideBalancer())
	}
	consumer, err := kgo.NewClient(settings...)
	must("a "+protocol+" member", err)
	until("describe a "+protocol+" group", func() bool {
		ctx, cancel := context.WithTimeout(c.ctx, 50*time.Millisecond)
		consumer.PollFetches(ctx)
		cancel()
		return c.assigned(protocol) == 5
	})
	_, err = c.admin.DeleteGroup(c.ctx, c.group)
	refused("delete a "+protocol+" group with members", kerr.NonEmptyGroup, err)
	refused("alter offsets of a "+protocol+" group with members", kerr.UnknownMemberID, c.alter(1))
	offset := map[string]map[int32]kgo.EpochOffset{c.topic: {0: {Epoch: -1, Offset: 7}}}
	consumer.CommitOffsetsSync(c.ctx, offset, nil)
	consumer.Close()
	expect("offsets outlive the member of a "+protocol+" group", c.committed() == 7, c.committed())
	_, err = c.admin.DeleteGroup(c.ctx, c.group)
	must("delete a "+protocol+" group that had members", err)
}

// How many partitions the only member has, as the group's description says.
func (c *adminCalls) assigned(protocol string) int {
	if protocol == "consumer" {
		found, err := c.admin.DescribeConsumerGroups(c.ctx, c.group)
		group := found[c.group]
		if err != nil || group.State != "Stable" || len(group.Members) != 1 {
			return 0
		}
		return len(group.Members[0].Assignment[c.topic])
	}
	found, err := c.admin.DescribeGroups(c.ctx, c.group)
	group := found[c.group]
	if err != nil || group.State != "Stable" || len(group.Members) != 1 || group.Members[0].ClientID != "the-member" {
		return 0
	}
	return len(group.AssignedPartitions()[c.topic])
}

func (c *adminCalls) records() {
	first := time.Now().Add(-10 * time.Minute)
	var records []*kgo.Record
	for i := 0; i < 100; i++ {
		at := first.Add(time.Duration(i) * time.Millisecond)
		records = append(records, &kgo.Record{Topic: c.topic, Value: []byte(strconv.Itoa(i)), Timestamp: at})
	}
	must("produce", c.client.ProduceSync(c.ctx, records...).FirstErr())
	c.offset("list offsets: latest", 100, func() (kadm.ListedOffsets, error) {
		return c.admin.ListEndOffsets(c.ctx, c.topic)
	})
	c.offset("list offsets: by time", 10, func() (kadm.ListedOffsets, error) {
		return c.admin.ListOffsetsAfterMilli(c.ctx, first.UnixMilli()+10, c.topic)
	})
	c.offset("list offsets: max timestamp", 99, func() (kadm.ListedOffsets, error) {
		return c.admin.ListMaxTimestampOffsets(c.ctx, c.topic)
	})
	var offsets kadm.Offsets
	offsets.AddOffset(c.topic, 0, 30, -1)
	answers, err := c.admin.DeleteRecords(c.ctx, offsets)
	expect("delete records", err == nil && answers[c.topic][0].LowWatermark == 30, answers)
	c.offset("list offsets: earliest", 30, func() (kadm.ListedOffsets, error) {
		return c.admin.ListStartOffsets(c.ctx, c.topic)
	})
}

func (c *adminCalls) offset(call string, wanted int64, question func() (kadm.ListedOffsets, error)) {
	listed, err := question()
	found, is := listed.Lookup(c.topic, 0)
	expect(call, err == nil && is && found.Offset == wanted, found)
}

func (c *adminCalls) cluster() {
	brokers, err := c.admin.ListBrokers(c.ctx)
	expect("list brokers", err == nil && len(brokers) == 1, brokers)
	folders, err := c.admin.DescribeAllLogDirs(c.ctx, nil)
	expect("describe log directories", err == nil && len(folders[1]) == 1, folders)
	_, err = c.admin.ElectLeaders(c.ctx, kadm.ElectPreferredReplica, nil)
	must("elect leaders", err)
	resources, err := c.admin.ListConfigResources(c.ctx)
	must("list config resources", err)
	_ = resources
	lag, err := c.admin.Lag(c.ctx, c.group)
	must("lag", err)
	_ = lag
}
