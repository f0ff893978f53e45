package main

import (
	"context"
	"errors"
	"time"

	"github.com/IBM/sarama"

	"ottla/acceptance/golang/program"
)

// The calls of Sarama's admin client that one node has an answer to.
type calls struct {
	client sarama.Client
	admin  sarama.ClusterAdmin
	topic  string
	group  string
}

func admin(_ context.Context, given program.Options) error {
	client, err := sarama.NewClient([]string{given["bootstrap"]}, settings(given))
	if err != nil {
		return err
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		return err
	}
	defer admin.Close()
	c := calls{client, admin, given["prefix"] + "-topic", given["prefix"] + "-group"}
	return program.Steps(c.topics, c.configs, c.records, c.liveGroup, c.cluster, c.deleteTopic)
}

func (c calls) partitions() int {
	found, err := c.admin.DescribeTopics([]string{c.topic})
	if err != nil || len(found) != 1 {
		return -1
	}
	return len(found[0].Partitions)
}

func (c calls) topics() error {
	retention := "86400000"
	wanted := &sarama.TopicDetail{NumPartitions: 3, ReplicationFactor: 1,
		ConfigEntries: map[string]*string{"retention.ms": &retention}}
	if err := c.admin.CreateTopic(c.topic, wanted, false); err != nil {
		return err
	}
	return program.Steps(
		func() error {
			return program.Until("create and describe topics", func() bool { return c.partitions() == 3 })
		},
		func() error {
			err := c.admin.CreateTopic(c.topic, wanted, false)
			return program.Expect("create a topic twice", errors.Is(err, sarama.ErrTopicAlreadyExists), err)
		},
		func() error { return c.admin.CreatePartitions(c.topic, 5, nil, false) },
		func() error { return program.Until("create partitions", func() bool { return c.partitions() == 5 }) })
}

func (c calls) value(name string) string {
	entries, err := c.admin.DescribeConfig(sarama.ConfigResource{Type: sarama.TopicResource, Name: c.topic})
	if err != nil {
		return err.Error()
	}
	for _, entry := range entries {
		if entry.Name == name {
			return entry.Value
		}
	}
	return ""
}

func (c calls) configs() error {
	// Brokers of 4.0 have dropped the version that Sarama uses before 1.1.
	if !release().IsAtLeast(sarama.V1_1_0_0) {
		return nil
	}
	value := "3600000"
	if err := program.Expect("describe configs", c.value("retention.ms") == "86400000", nil); err != nil {
		return err
	}
	set := map[string]sarama.IncrementalAlterConfigsEntry{
		"segment.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &value}}
	if err := c.admin.IncrementalAlterConfig(sarama.TopicResource, c.topic, set, false); err != nil {
		return err
	}
	return program.Until("alter configs", func() bool {
		return c.value("segment.ms") == value && c.value("retention.ms") == "86400000"
	})
}

func (c calls) records() error {
	config := c.client.Config()
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducerFromClient(c.client)
	if err != nil {
		return err
	}
	first := time.Now().Add(-10 * time.Minute).Truncate(time.Millisecond)
	for i := 0; i < 100; i++ {
		_, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: c.topic, Value: sarama.StringEncoder("x"),
			Timestamp: first.Add(time.Duration(i) * time.Millisecond)})
		if err != nil {
			return err
		}
	}
	if err := c.admin.DeleteRecords(c.topic, map[int32]int64{0: 30}); err != nil {
		return err
	}
	for call, asked := range map[string][2]int64{"earliest": {sarama.OffsetOldest, 30},
		"latest": {sarama.OffsetNewest, 100}, "by time": {first.UnixMilli() + 40, 40}} {
		offset, err := c.client.GetOffset(c.topic, 0, asked[0])
		if err != nil {
			return err
		}
		if err := program.Expect("list offsets: "+call, offset == asked[1], offset); err != nil {
			return err
		}
	}
	return nil
}

type waiting struct {
	joined chan bool
}

func (w waiting) Setup(session sarama.ConsumerGroupSession) error {
	close(w.joined)
	return nil
}
func (w waiting) Cleanup(sarama.ConsumerGroupSession) error { return nil }
func (w waiting) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	if claim.Partition() == 0 {
		session.MarkOffset(claim.Topic(), 0, 42, "")
		session.Commit()
	}
	<-session.Context().Done()
	return nil
}

func (c calls) liveGroup() error {
	group, err := sarama.NewConsumerGroupFromClient(c.group, c.client)
	if err != nil {
		return err
	}
	staying, leave := context.WithCancel(context.Background())
	defer leave()
	member := waiting{make(chan bool)}
	left := make(chan error)
	go func() { left <- group.Consume(staying, []string{c.topic}, member) }()
	select {
	case <-member.joined:
	case err := <-left:
		return err
	case <-time.After(30 * time.Second):
		return errors.New("the member does not join")
	}
	found, err := c.admin.DescribeConsumerGroups([]string{c.group})
	if err != nil {
		return err
	}
	listed, err := c.admin.ListConsumerGroups()
	if err != nil {
		return err
	}
	// Groups can be deleted since 1.1.
	deletes := release().IsAtLeast(sarama.V1_1_0_0)
	return program.Steps(
		func() error {
			return program.Expect("describe a group", found[0].State == "Stable" && len(found[0].Members) == 1, found[0])
		},
		func() error { return program.Expect("list groups", listed[c.group] == "consumer", listed) },
		func() error {
			if !deletes {
				return nil
			}
			refused := c.admin.DeleteConsumerGroup(c.group)
			return program.Expect("delete a group with members", errors.Is(refused, sarama.ErrNonEmptyGroup), refused)
		},
		func() error { return program.Until("commit and list offsets", c.isCommitted) },
		func() error { leave(); <-left; return group.Close() },
		func() error { return program.Expect("offsets outlive the member", c.isCommitted(), nil) },
		func() error {
			if !deletes {
				return nil
			}
			return c.admin.DeleteConsumerGroup(c.group)
		})
}

func (c calls) isCommitted() bool {
	offsets, err := c.admin.ListConsumerGroupOffsets(c.group, map[string][]int32{c.topic: {0}})
	return err == nil && offsets.GetBlock(c.topic, 0) != nil && offsets.GetBlock(c.topic, 0).Offset == 42
}

func (c calls) cluster() error {
	brokers, _, err := c.admin.DescribeCluster()
	if err != nil {
		return err
	}
	if err := program.Expect("describe the cluster", len(brokers) == 1, brokers); err != nil {
		return err
	}
	// As above, and before 2.0.
	if !release().IsAtLeast(sarama.V2_0_0_0) {
		return nil
	}
	folders, err := c.admin.DescribeLogDirs([]int32{brokers[0].ID()})
	if err != nil {
		return err
	}
	return program.Expect("describe log directories", len(folders[brokers[0].ID()]) == 1, folders)
}

func (c calls) deleteTopic() error {
	if err := c.admin.DeleteTopic(c.topic); err != nil {
		return err
	}
	return program.Until("delete topics", func() bool { return c.partitions() < 1 })
}
